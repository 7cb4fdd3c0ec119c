"""The sandbox as a transport of the API clients: no server, no socket, no event loop.

What takes its time elsewhere, such as a server's start, is over at once. Nobody limits the calls; webhooks go nowhere.
"""

import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from ..zyra.caller import Caller, skip_guard
from ..zyra.client import AsyncZyra, Zyra
from ..zyra.credentials import ApiKey
from ..zyra.journal import Journal
from ..zyra.transport import make_options
from .api import create_app
from .catalogue import CHANGES
from .operations import Operations
from .rows import Row, Rows, make_blank
from .state import State

URL = "http://sandbox"
KEY_PREFIX = "zyra_sk_"
Answer = Callable[[httpx2.Request], httpx2.Response]
NOWHERE = httpx2.MockTransport(lambda request: httpx2.Response(503))  # where webhooks go
NO_LIMITS = {"create": 10**9, "read": 10**9, "bulk": 10**9}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One request to the sandbox, and the status of its answer. body: its JSON; None where it has none."""

    method: str
    path: str
    body: Any = None
    status: int = 0

    def __str__(self) -> str:
        fields = f" {msgspec.json.encode(self.body).decode()}" if self.body is not None else ""
        return f"{self.method} {self.path}{fields}"


class ImmediateOperations(Operations):
    boot_seconds = 0.0

    def start_later(self, work: Coroutine[Any, Any, None]) -> None:
        drive(work)


class PretendingOperations(ImmediateOperations):
    """Knows every id that it is asked for: a blank row stands behind it."""

    def row(self, rows: Rows, name: str) -> Row:
        if name not in rows:
            area = next(area for area, known in self.state.areas.items() if known is rows)
            rows[name] = make_blank(area, name)
        return rows[name]


@dataclass(slots=True)
class SandboxInProcess:
    """key: the API key that it takes. calls: what it was asked, in order."""

    pretends: bool = False  # whether it knows every id that it is asked for
    key: str = field(default_factory=lambda: f"{KEY_PREFIX}{secrets.token_hex(16)}")
    calls: list[RecordedCall] = field(default_factory=list)
    state: State = field(init=False)
    _app: Any = field(init=False)
    _added: set[tuple[str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.state = State(Path(), self.key, is_saved=False)
        operations = PretendingOperations if self.pretends else ImmediateOperations
        self._app = create_app(self.state, NO_LIMITS, operations=operations, transport=NOWHERE)

    def make_client(
        self,
        is_async: bool = False,
        journal: Journal | None = None,
        answer: Answer | None = None,
        guard: Callable[[], None] = skip_guard,
    ) -> Any:
        """A client of this sandbox: `Zyra`, or `AsyncZyra`. answer: replaces the sandbox's answers.

        guard: raises where no call may be made.
        """
        caller = Caller(ring=ApiKey(lambda: self.key), journal=journal, guard=guard)
        options = make_options(URL) | {"transport": httpx2.MockTransport(answer or self.answer)}
        if is_async:
            return AsyncZyra(URL, caller=caller, http=httpx2.AsyncClient(**options))
        return Zyra(URL, caller=caller, http=httpx2.Client(**options))

    def add(self, area: str, name: str, **fields: Any) -> None:
        """Adds or replaces a row. Raises ValueError where a field has a wrong type."""
        self._added.add((area, name))
        self.state.add(msgspec.json.encode({area: {name: fields}}).decode())

    def tell(self, kind: str, name: str, data: Any) -> None:
        """Adds the resource of an event, unless `add` has. kind: the event's type; name: the resource's id."""
        area, _, status = CHANGES.get(kind, ("", "", ""))
        if area and name and (area, name) not in self._added:
            known = data if isinstance(data, dict) else {}
            self.state.areas[area][name] = {**make_blank(area, name), "status": status, **known, "id": name}

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        response: httpx2.Response = drive(call_app(self._app, request))
        body = msgspec.json.decode(request.content) if request.content else None
        path = request.url.raw_path.decode("ascii")
        recorded = RecordedCall(method=request.method, path=path, body=body, status=response.status_code)
        self.calls.append(recorded)
        return response


async def call_app(app: Any, request: httpx2.Request) -> httpx2.Response:
    """The answer of an ASGI application."""
    scope = {
        "type": "http",
        "method": request.method,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": "http",
        "server": ("sandbox", 80),
        "client": ("127.0.0.1", 0),
        "root_path": "",
        "http_version": "1.1",
    }
    started, body = dict[str, Any](), bytearray()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.content, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        started.update(message if message["type"] == "http.response.start" else {})
        body.extend(message.get("body", b""))

    await app(scope, receive, send)
    return httpx2.Response(started["status"], headers=started["headers"], content=bytes(body))


def drive(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that never waits; what it returns."""
    while True:
        try:
            waits_for = work.send(None)
        except StopIteration as end:
            return end.value
        if waits_for is not None:
            work.close()
            raise RuntimeError(f"the sandbox waits for {waits_for!r}")
