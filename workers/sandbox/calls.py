"""What every answer of the sandbox is made of: the call, its row, pages, files, refusals."""

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
MOST = 10**9  # a number in a query


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
class Asked:
    """A call, as far as its answer needs it."""

    name: str
    ids: tuple[str, ...]
    query: Mapping[str, str]
    body: Row
    user: str


Act = Callable[[Asked], Awaitable[Any]]


class Desk:
    """Where the state is, and what most answers need of it."""

    def __init__(self, state: State, webhooks: Webhooks, shape: Shape | None = None) -> None:
        self.state = state
        self.shape = shape or Shape()
        self.webhooks = webhooks
        self._tasks: set[asyncio.Task[None]] = set()

    def _rows(self, asked: Asked) -> Rows:
        return self.state.areas[LISTS.get(asked.name, asked.name.partition(".")[0])]

    def row(self, found: Rows, name: str) -> Row:
        if name not in found:
            raise Refusal(404, "not_found", f"there is no {name}")
        return found[name]

    async def _list(self, asked: Asked) -> Page:
        return paged(list(self._rows(asked).values()), asked)

    async def _get(self, asked: Asked) -> Row:
        return self.row(self._rows(asked), asked.ids[0])

    def becomes(self, row: Row, status: str, kind: str) -> Row:
        row["status"] = status
        self.webhooks.tell(kind, dict(row))
        return row

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def told(body: Row) -> Row:
    """What the caller may say of a row."""
    return {name: value for name, value in body.items() if name not in OURS}


def paged(rows: list[Row], asked: Asked) -> Page:
    """Offset 0 and limit 50 where nothing is said, limit 200 at most."""
    scim = asked.name.startswith("scim_")
    offset = max(whole(asked, "startIndex", 1) - 1, 0) if scim else whole(asked, "offset", 0)
    limit = min(whole(asked, "count" if scim else "limit", 50), 200)
    status = asked.query.get("status")
    found = [row for row in rows if status in (None, row.get("status"))]
    return Page(found[offset : offset + limit], len(found))


def whole(asked: Asked, name: str, default: int) -> int:
    text = asked.query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MOST):
        raise Refusal(422, "invalid", f"{name} must be a whole number")
    return int(text)
