"""Runs the handlers of prepared attempts: `def` in the thread that asks, `async def` in one loop for all."""

import asyncio
import os
from collections.abc import Callable
from contextvars import copy_context

from .attempt import Attempt, late, timed_out
from .context import CURRENT, Context, Lease
from .ledger import Ledger, Ticket
from .loop import Loop, limit
from .pipe import Pipe
from .zyra import AsyncZyra, Zyra


class Performer:
    """ended: hears how each handler ended, by an exception or by none. In a process that it forked off, nobody does."""

    def __init__(
        self,
        ledger: Ledger,
        pipe: Pipe,
        clients: Callable[[], tuple[Zyra, AsyncZyra]],
        ended: Callable[[Attempt, BaseException | None], None],
    ) -> None:
        self._ledger = ledger
        self._pipe = pipe
        self._clients = clients
        self._tell = ended
        self._pid = os.getpid()
        self._loop = Loop()

    def start(self) -> None:
        self._sync, self._async = self._clients()
        self._loop.start()

    def blocked_by(self) -> Ticket | None:
        """The attempt that holds the loop up."""
        return self._loop.blocked_by()

    def perform(self, ready: Attempt, lease: Lease) -> None:
        """Tells the parent that it begins, and what it is charged if it is late; then runs it, here or in the loop."""
        charge = timed_out(ready.claim, ready.handler)
        self._pipe.send(
            started=ready.claim.ticket,
            timeout=ready.handler.timeout,
            late=(charge.verdict, charge.delay, charge.error),
            in_loop=ready.handler.is_async,
        )
        context = copy_context()
        context.run(CURRENT.set, Context(self._ledger, lease))
        if ready.handler.is_async:
            self._loop.spawn(ready.claim.ticket, self._run_async(ready, lease), context)
        else:
            context.run(self._run_sync, ready, lease)

    def _run_sync(self, ready: Attempt, lease: Lease) -> None:
        arguments = [self._sync.guarded(lease.check)] if ready.handler.takes_client else []
        try:
            lease.check()  # we may have been paused since the claim
            ready.handler.function(ready.event, *arguments)
        except BaseException as error:  # SystemExit and the like end an attempt, not the worker
            self._ended(ready, error)
        else:
            self._ended(ready, None)

    async def _run_async(self, ready: Attempt, lease: Lease) -> None:
        arguments = [self._async.guarded(lease.check)] if ready.handler.takes_client else []
        scope = asyncio.timeout(None)
        try:
            async with scope:
                with limit(scope, ready.handler.timeout):
                    lease.check()
                    await ready.handler.function(ready.event, *arguments)
        except BaseException as error:
            self._ended(ready, late(ready.handler) if scope.expired() else error)
        else:
            self._ended(ready, None)

    def _ended(self, ready: Attempt, error: BaseException | None) -> None:
        if os.getpid() != self._pid:
            os._exit(0 if error is None else 1)
        self._tell(ready, error)
