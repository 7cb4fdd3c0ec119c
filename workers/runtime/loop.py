"""The event loop that `async def` handlers share; it can tell which handler blocks it."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextvars import Context
from typing import Any

from ..ledger.units import Ticket

log = logging.getLogger(__name__)
Spawned = tuple[Ticket, Coroutine[Any, Any, None], Context]
LAG_SECONDS = 0.5  # by which the loop may be late; more is the fault of the handler that blocked it


class HandlerLoop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: dict[asyncio.Task[None], Ticket] = {}
        self._came_round = threading.Event()
        self._came_round.set()

    def start(self) -> None:
        threading.Thread(target=self._run, name="loop", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self._loop.run_forever()
            except BaseException:  # a handler's own task raised SystemExit, which asyncio lets through
                log.exception("a handler's task tried to end the loop")

    def spawn(self, attempts: Sequence[Spawned]) -> None:
        """Runs the attempts in the loop. Called from any thread."""
        self._loop.call_soon_threadsafe(self._spawn, attempts)

    def _spawn(self, attempts: Sequence[Spawned]) -> None:
        for ticket, attempt, context in attempts:
            task = self._loop.create_task(attempt, context=context)
            self._tasks[task] = ticket  # the loop itself holds tasks only weakly
            task.add_done_callback(self._tasks.pop)

    def find_blocker(self) -> Ticket | None:
        """The attempt that has blocked the loop since the last call, or None."""
        if not self._came_round.is_set():
            task = asyncio.current_task(self._loop)
            return self._tasks.get(task) if task else None
        self._came_round.clear()
        self._loop.call_soon_threadsafe(self._came_round.set)
        return None


@contextlib.contextmanager
def limit(scope: asyncio.Timeout, seconds: float) -> Iterator[None]:
    """Ends the scope after so many seconds, not counting the time in which another task blocked the loop."""
    loop = asyncio.get_running_loop()
    ended = False

    def expire(due: float) -> None:
        lag = loop.time() - due
        if ended:
            return
        if lag > LAG_SECONDS:
            loop.call_later(lag, expire, due + 2 * lag)
        else:
            scope.reschedule(loop.time())

    timer = loop.call_later(seconds, expire, loop.time() + seconds)
    try:
        yield
    finally:
        ended = True
        timer.cancel()
