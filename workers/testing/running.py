"""Runs a handler to its end as a worker does: attempts, backoff, journalled calls, `allow`; time passes at once."""

import re
import sys
from collections.abc import Callable
from typing import Any

import httpx2
import msgspec

from receiver.contract.keys import make_run_id

from ..errors import RetryLater
from ..event import Event, make_key
from ..handler import Handler
from ..ledger.transitions import RETRY_LATER_SECONDS
from ..outgoing import Post
from ..router import Router
from ..runtime.attempt import draw_backoff, is_last_failure
from ..runtime.foreground import Ending, LocalCounter, run_attempt
from ..sandbox.in_process import RecordedCall, SandboxInProcess
from .clock import Clock
from .journal import JournalMemory

KILL = re.compile(r"(before|after) call ([1-9][0-9]*)")
MAX_ATTEMPTS = 1000  # whatever a handler asks for


class Killed(BaseException):
    """The process of the attempt died here."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    outcome: done, dead, or unwanted: the handler is not for this event. error: of the last attempt.
    calls: of all attempts. seconds: how long a worker would have taken, waits included.
    """

    outcome: str
    attempts: int = 0
    error: BaseException | None = None
    calls: tuple[RecordedCall, ...] = ()
    posts: tuple[Post, ...] = ()
    seconds: float = 0.0

    @property
    def changes(self) -> list[str]:
        """Calls that have changed something, as `POST /api/v1/...`."""
        return [str(call) for call in self.calls if call.method != "GET" and call.status < 400]


def run_handler(
    handler: Handler | Callable[..., Any],
    event: Event,
    *,
    zyra: SandboxInProcess | None = None,
    kill_at: str = "",
    clock: Clock | None = None,
) -> Result:
    """Runs a handler on an event until it is done or dead.

    handler: the function, or a handler of a router. zyra: the API; else a fresh one that knows every id.
    kill_at: "before call 2" or "after call 2": where the process of the first attempt dies; only calls that change
        something count. The next attempt goes on from the journal.
    Raises ValueError where `kill_at` is none of these, or no call is the one that it names.
    """
    found, api, time = find_handler(handler), zyra or SandboxInProcess(pretends=True), clock or Clock()
    if not found.wants(event):
        return Result(outcome="unwanted")
    api.tell(event.type, event.resource_id, event.payload.get("data") if isinstance(event.payload, dict) else None)
    return Run(found, event, api, time, parse_kill(kill_at)).finish()


class Run:
    def __init__(
        self, handler: Handler, event: Event, api: SandboxInProcess, clock: Clock, kill_at: tuple[str, int] | None
    ) -> None:
        self._handler = handler
        self._event = msgspec.structs.replace(event, key=make_key(event.id, handler.name))
        self._api = api
        self._clock = clock
        self._kill_at = kill_at
        self._journal = JournalMemory()
        self._counter = LocalCounter(clock.read)
        self._changes = 0
        self._posts: list[Post] = []

    def finish(self) -> Result:
        began, first_call, failures = self._clock.now, len(self._api.calls), 0
        self._clock.advance(self._handler.delay)
        for attempt in range(1, MAX_ATTEMPTS + 1):
            ending = self._attempt(attempt)
            error = ending.error if ending else None
            if ending:
                self._posts += ending.posts
                if error is None or is_last_failure(error, failures, self._handler):
                    break
                failures += not isinstance(error, RetryLater)
                self._clock.advance(
                    error.seconds
                    if isinstance(error, RetryLater)
                    else draw_backoff(failures - 1, self._handler.backoff)
                )
                if self._clock.now - began > RETRY_LATER_SECONDS:
                    break
        if self._kill_at:
            raise ValueError(f"there is no call {self._kill_at[1]}: the handler made {self._changes}")
        return Result(
            outcome="dead" if error else "done",
            attempts=attempt,
            error=error,
            calls=tuple(self._api.calls[first_call:]),
            posts=tuple(self._posts),
            seconds=self._clock.now - began,
        )

    def _attempt(self, number: int) -> Ending | None:
        """None: it was killed."""
        event = msgspec.structs.replace(self._event, attempt=number)
        run = make_run_id(event.id, self._handler.name)
        journal = self._journal.make_journal(run, number, event.key)
        client = self._api.make_client(self._handler.is_async, journal=journal, answer=self._answer)
        try:
            return run_attempt(self._handler, event, client, counter=self._counter)
        except Killed:
            self._kill_at = None
            return None

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self._changes += request.method != "GET"
        is_here = self._kill_at and request.method != "GET" and self._kill_at[1] == self._changes
        if is_here and self._kill_at and self._kill_at[0] == "before":
            raise Killed
        response = self._api.answer(request)
        if is_here:
            raise Killed
        return response


def parse_kill(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    if not (match := KILL.fullmatch(text)):
        raise ValueError(f'kill_at must be like "before call 1" or "after call 2", not {text!r}')
    return match[1], int(match[2])


def find_handler(handler: Handler | Callable[..., Any]) -> Handler:
    """The handler of a function, as its module's router has it. Raises LookupError."""
    if isinstance(handler, Handler):
        return handler
    module = sys.modules.get(handler.__module__)
    for router in vars(module).values() if module else ():
        if isinstance(router, Router):
            for one in router:
                if one.function is handler:
                    return one
    raise LookupError(f"no router of {handler.__module__} has {handler.__name__}: is @router.on above it?")
