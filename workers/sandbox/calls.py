"""What all answers of the sandbox share: the call, rows, pages, files, refusals."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from .rows import Row, Rows
from .shapes import Shape
from .state import State
from .webhooks import Webhooks

LISTS = {
    "organizations.list": "organizations",
    "sla.rules": "rules",
    "sla.breaches": "breaches",
    "monitoring.alerts": "alerts",
    "cost_advisor.recommendations": "recommendations",
}  # fmt: skip - whose rows are not called as their area is
OURS = ("id", "status", "secret", "members", "settings", "created_at", "started_at", "total_cost", "schemas")
FILTER = 'userName eq "([^"]*)"'  # the one of SCIM's filters that is known: RFC 7644, 3.4.2.2
MAX_NUMBER = 10**9  # a number in a query


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Row]
    total: int


@dataclass(frozen=True, slots=True)
class File:
    content: bytes


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A call, as far as its answer needs it."""

    name: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    body: Row
    user: str


Act = Callable[[ApiCall], Awaitable[Any]]


class CallHandler:
    """Where the state is, and what most answers need of it."""

    boot_seconds = 0.2  # until a started server runs, and between the states of a job

    def __init__(self, state: State, webhooks: Webhooks, shape: Shape | None = None) -> None:
        self.state = state
        self.shape = shape or Shape()
        self.webhooks = webhooks
        self._tasks: set[asyncio.Task[None]] = set()

    def _rows(self, call: ApiCall) -> Rows:
        return self.state.areas[LISTS.get(call.name, call.name.partition(".")[0])]

    def row(self, rows: Rows, name: str) -> Row:
        if name not in rows:
            raise Refusal(404, "not_found", f"there is no {name}")
        return rows[name]

    async def _list(self, call: ApiCall) -> Page:
        return paginate(list(self._rows(call).values()), call)

    async def _get(self, call: ApiCall) -> Row:
        return self.row(self._rows(call), call.ids[0])

    def change_status(self, row: Row, status: str, kind: str) -> Row:
        row["status"] = status
        self.webhooks.tell(kind, dict(row))
        return row

    def start_later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def drop_unset(body: Row) -> Row:
    """What the caller may say of a row."""
    return {name: value for name, value in body.items() if name not in OURS}


def paginate(rows: list[Row], call: ApiCall) -> Page:
    """Offset 0 and limit 50 where nothing is said, limit 200 at most."""
    scim = call.name.startswith("scim_")
    offset = max(read_number(call, "startIndex", 1) - 1, 0) if scim else read_number(call, "offset", 0)
    limit = min(read_number(call, "count" if scim else "limit", 50), 200)
    status = call.query.get("status")
    matching = [row for row in rows if status in (None, row.get("status"))]
    return Page(matching[offset : offset + limit], len(matching))


def read_number(call: ApiCall, name: str, default: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_NUMBER):
        raise Refusal(422, "invalid", f"{name} must be a whole number")
    return int(text)
