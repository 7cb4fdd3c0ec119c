"""Runs handlers: `def` in the calling thread, `async def` in one loop for all."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import msgspec

from receiver.contract.logs import CONTEXT
from receiver.contract.tracing import ACTIVE, Tracing

from ..context import CURRENT, Context, Lease
from ..handler import refuse_unfinished
from ..ledger.transitions import Ledger
from ..ledger.units import Ticket
from .attempt import Attempt, judge_timeout, make_timeout_error
from .contexts import make_context
from .failures import name_kind
from .loop import HandlerLoop, Spawned, limit
from .pipe import pack_outcome
from .prints import end_line
from .spans import start_attempt

if TYPE_CHECKING:
    from .clients import Clients


class Performer:
    """clients: makes the API clients, if any handler takes one.

    on_finished: hears how each handler ended, by an exception or by none, and after how many seconds. In a process
    that it forked off, nobody does.
    """

    def __init__(
        self,
        ledger: Ledger,
        clients: "Callable[[], Clients] | None",
        on_finished: Callable[[Attempt, BaseException | None, float], None],
        tracing: Tracing | None = None,
    ) -> None:
        self._ledger = ledger
        self._clients = clients
        self._on_finished = on_finished
        self._tracing = tracing
        self._pid = os.getpid()
        self._loop = HandlerLoop()
        self._running: dict[Ticket, tuple[Attempt, float]] = {}  # and since when
        self._announced: set[Ticket] = set()

    def start(self) -> None:
        if self._clients:
            self._made = self._clients()
        self._loop.start()

    def find_blocker(self) -> Ticket | None:
        """The attempt that holds the loop up."""
        return self._loop.find_blocker()

    def find_running(self, ticket: Ticket) -> Attempt | None:
        ready, _ = self._running.get(ticket, (None, 0.0))
        return ready

    def list_started(self) -> list[tuple[Any, ...]]:
        """What began since we were last asked and still runs: seconds left, its outcome if it is late, and whether it
        runs in the loop.
        """
        running = self._running.copy()
        fresh = [(ready, since) for ticket, (ready, since) in running.items() if ticket not in self._announced]
        self._announced = set(running)
        return [announce(ready, since) for ready, since in fresh]

    def perform(self, ready: Attempt, lease: Lease) -> None:
        """Runs the attempt, here or in the loop."""
        if ready.handler.is_async:
            self.spawn([(ready, lease)])
            return
        self._running[ready.claim.ticket] = ready, time.monotonic()
        copy_context().run(self._run_sync, ready, lease)

    def spawn(self, attempts: Sequence[tuple[Attempt, Lease]]) -> None:
        """Runs attempts of `async def` handlers in the loop."""
        now, spawned = time.monotonic(), list[Spawned]()
        for ready, lease in attempts:
            self._running[ready.claim.ticket] = ready, now
            spawned.append((ready.claim.ticket, self._run_async(ready, lease), copy_context()))
        self._loop.spawn(spawned)

    def _run_sync(self, ready: Attempt, lease: Lease) -> None:
        context = self._enter(ready, lease)
        arguments = [self._made.make_sync(context)] if ready.handler.takes_client else []
        try:
            lease.check()  # we may have been paused since the claim
            refuse_unfinished(ready.handler.function(ready.event, *arguments), "the handler")
            refuse_unawaited(context.issued.drop_unawaited())
        except BaseException as error:  # SystemExit and the like end an attempt, not the worker
            self._finish(ready, error)
        else:
            self._finish(ready, None)

    async def _run_async(self, ready: Attempt, lease: Lease) -> None:
        context = self._enter(ready, lease)
        arguments = [self._made.make_async(context)] if ready.handler.takes_client else []
        scope = asyncio.timeout(None)
        try:
            async with scope:
                with limit(scope, ready.handler.timeout):
                    lease.check()
                    refuse_unfinished(await ready.handler.function(ready.event, *arguments), "the handler")
            for issued in (context.issued, *(client.issued for client in arguments)):
                refuse_unawaited(issued.drop_unawaited())
        except BaseException as error:
            self._finish(ready, make_timeout_error(ready.handler) if scope.expired() else error)
        else:
            self._finish(ready, None)

    def _enter(self, ready: Attempt, lease: Lease) -> Context:
        """What the handler finds in its context, and what its log lines say."""
        context = make_context(self._ledger, lease, ready)
        CURRENT.set(context)
        CONTEXT.set(ready.describe())
        if self._tracing:
            start_attempt(self._tracing, ready).enter()
        return context

    def _finish(self, ready: Attempt, error: BaseException | None) -> None:
        if os.getpid() != self._pid:
            os._exit(0 if error is None else 1)
        if span := ACTIVE.get():
            span.end(name_kind(error) if error else "")
        end_line()
        now = time.monotonic()
        _, since = self._running.get(ready.claim.ticket, (ready, now))
        self._on_finished(ready, error, now - since)
        self._running.pop(ready.claim.ticket, None)


def refuse_unawaited(calls: Sequence[str]) -> None:
    """Raises TypeError where a handler has asked for calls and awaited none of them: they were never sent."""
    if calls:
        raise TypeError(f"never awaited, so never sent: {', '.join(calls[:5])}; write `await` before the call")


def announce(ready: Attempt, since: float) -> tuple[Any, ...]:
    handler = ready.handler
    left = handler.timeout - (time.monotonic() - since)
    late = judge_timeout(ready.claim, handler)
    charge = msgspec.structs.replace(late, ms=int(handler.timeout * 1000), slot=ready.slot)
    return left, pack_outcome(charge), handler.is_async
