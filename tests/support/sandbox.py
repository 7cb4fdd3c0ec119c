"""The sandbox in the role of Zyra, over real HTTP in a thread of this process, so that a test can look at its state."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.sandbox.api import create_app
from workers.sandbox.chaos import Chaos
from workers.sandbox.rows import Row
from workers.sandbox.shapes import Shape
from workers.sandbox.state import State
from workers.zyra.budget import Budget
from workers.zyra.caller import Caller
from workers.zyra.client import Zyra
from workers.zyra.credentials import ApiKey

from .disguise import Disguise, Elsewhere
from .kit import free_port, wait_for

KEY = "zyra_sk_sandbox_0001"
PLENTY = {"create": 100_000, "read": 100_000, "bulk": 100_000}


@dataclass
class Sandbox:
    url: str
    state: State

    def calls(self, method: str = "", path: str = "", status: int = 200) -> list[Row]:
        return [
            one
            for one in self.log()
            if one["status"] == status and method in ("", one["method"]) and str(one["path"]).startswith(path)
        ]

    def log(self) -> list[Row]:
        """Every call so far, as a copy: the sandbox's thread goes on writing."""
        return list(self.state.log)

    def client(self, budget: Budget | None = None, key: str = KEY) -> Zyra:
        return Zyra(self.url, caller=Caller(ring=ApiKey(lambda: key), budget=budget))


def list_deliveries(state: State) -> list[Row]:
    """The deliveries to all endpoints, as a copy: the sandbox's thread goes on writing."""
    return [row for rows in list(state.deliveries.values()) for row in list(rows.values())]


class Slow:
    """Answers late now and then: before the call has happened, or after."""

    def __init__(self, app: ASGIApp, most: float) -> None:
        self._app = app
        self._most = most
        self._random = random.Random(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(self._random.uniform(0, self._most))

        async def later(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.sleep(self._random.uniform(0, self._most))
            await send(message)

        await self._app(scope, receive, later)


@contextlib.contextmanager
def playing(
    folder: Path,
    limits: dict[str, int] | None = None,
    minute: float = 60.0,
    jitter: float = 0.0,
    shape: Shape | None = None,
    chaos: Chaos | None = None,
    disguise: str = "tidy",
) -> Iterator[Sandbox]:
    state = State(folder, KEY)
    port = free_port()
    app: ASGIApp = create_app(state, limits, minute, shape, chaos)
    app = Elsewhere(app) if disguise == "elsewhere" else Disguise(app, disguise)
    config = uvicorn.Config(
        Slow(app, jitter) if jitter else app, host="127.0.0.1", port=port, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started)
    try:
        yield Sandbox(f"http://127.0.0.1:{port}", state)
    finally:
        server.should_exit = True
        thread.join()
