"""One worker process: takes work, runs `async def` handlers in one loop and `def` handlers in threads, records the end.

The parent renews the leases, so whatever a handler does to this process, nobody else repeats its neighbours' runs.
"""

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context as ContextVars
from contextvars import copy_context
from typing import Any

from receiver.contract.connection import FAULTS, text
from receiver.contract.keys import is_run
from receiver.contract.seal import Seal

from .attempt import PARKED, Attempt, failed, outcome, prepare, timed_out, told
from .context import CURRENT, Context, Lease
from .dispatch import dispatch
from .ledger import Claim, Ledger, Outcome, Verdict
from .pipe import Clock, Pipe
from .router import Router
from .zyra import AsyncZyra, Zyra

log = logging.getLogger(__name__)
WAIT = 1.0  # seconds a process waits for work before it looks around
MOST = 64  # units taken in one round trip


class Process:
    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        seal: Seal,
        pipe: Pipe,
        clock: Clock,
        clients: Callable[[], tuple[Zyra, AsyncZyra]],
        concurrency: int = 16,
    ) -> None:
        self.ledger = ledger
        self.router = router
        self.seal = seal
        self.pipe = pipe
        self.clock = clock
        self.concurrency = concurrency
        self.draining = threading.Event()
        self._clients = clients
        self._free = concurrency
        self._changed = threading.Condition()
        self._held: dict[str, Lease] = {}
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(concurrency, "handler")
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the process as a whole

    def run(self) -> None:
        """Works until it is told to drain and everything it holds has ended."""
        self._start()
        while not self.draining.is_set():
            if room := self._room():
                self._take(room)
        self._stop()

    def run_alone(self, unit: str, token: int) -> None:
        """One attempt of one run, and nothing else in this process."""
        self._start()
        self._free -= 1
        try:
            claim = self.ledger.reread(unit, token)
        except FAULTS as error:
            claim = None
            self._over(Outcome(unit=unit, token=token, verdict=Verdict.HANDED, error=str(error)))
        else:
            if claim is None:
                self._ended([unit])
        if claim is not None:
            self._begin(claim, alone=True)
        self._stop()

    def _start(self) -> None:
        self._sync, self._async = self._clients()
        for target in (self._loop.run_forever, self._listen):
            threading.Thread(target=target, daemon=True).start()
        self._recorder = threading.Thread(target=self._record, daemon=True)
        self._recorder.start()

    def _stop(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free == self.concurrency)
        self._outcomes.put(None)
        self._recorder.join()

    def _listen(self) -> None:
        """What the parent says. A parent that is gone renews no lease: whatever we do now may be done twice."""
        while (messages := self.pipe.receive()) is not None:
            for message in messages:
                for unit in message.get("lost", ()):
                    if lease := self._held.get(unit):
                        lease.lost = True
                if message.get("drain"):
                    self.draining.set()
        os._exit(1)  # pragma: no cover - nothing of this process outlives it

    # --- taking work

    def _room(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0, WAIT)
            return self._free

    def _take(self, room: int) -> None:
        keys = self.ledger.keys
        try:
            popped = self.ledger.client.blmove(keys.jobs, keys.intermediate, int(WAIT), "LEFT", "RIGHT")
            if popped is None:
                return
            if self.draining.is_set():
                self.ledger.put_back(text(popped))
                return
            claims = self.ledger.take([text(popped)], min(room, MOST) - 1)
        except FAULTS as error:
            log.warning("Redis does not answer", extra={"error": str(error)})
            self.draining.wait(WAIT)
            return
        self.pipe.send(held=[(claim.unit, claim.token) for claim in claims])
        with self._changed:
            self._free -= len(claims)
        for claim in claims:
            self._begin(claim)

    def _begin(self, claim: Claim, alone: bool = False) -> None:
        lease = Lease(claim.claimed_at, self.clock.get)
        self._held[claim.unit] = lease
        if is_run(claim.unit):
            self._threads.submit(self._attempt, claim, lease, alone)
        else:
            self._threads.submit(self._dispatch, claim)

    # --- one unit

    def _dispatch(self, claim: Claim) -> None:
        while True:
            try:
                dispatch(claim, self.router, self.seal, self.ledger)
                break
            except FAULTS as error:
                log.warning("dispatch not recorded yet", extra={"event": claim.unit, "error": str(error)})
                time.sleep(WAIT)
            except Exception:  # a fault of ours: its lease ends, and the third time the event is a dead letter
                log.exception("dispatch failed", extra={"event": claim.unit})
                break
        self._ended([claim.unit])

    def _attempt(self, claim: Claim, lease: Lease, alone: bool) -> None:
        """Prepares an attempt and starts it: here if it is a `def` handler, else in the loop."""
        try:
            ready = prepare(claim, self.router, self.seal, self.ledger)
        except FAULTS as error:
            ready = outcome(claim, Verdict.HANDED, str(error))
        except Exception as error:  # a fault of ours must not keep the run's place for ever
            log.exception("attempt not prepared", extra={"run": claim.unit})
            ready = outcome(claim, Verdict.FAILED, told(error), PARKED)
        if isinstance(ready, Outcome):
            self._over(ready)
        elif self.draining.is_set() and not alone:
            self._over(outcome(claim, Verdict.HANDED))
        elif (ready.handler.isolated or claim.suspect) and not alone:
            self.pipe.send(isolate=claim.unit, token=claim.token)
            self._ended([claim.unit], told=True)
        else:
            self._perform(ready, lease)

    def _perform(self, ready: Attempt, lease: Lease) -> None:
        late = timed_out(ready.claim, ready.handler)
        self.pipe.send(
            started=ready.claim.unit, timeout=ready.handler.timeout, late=[late.verdict, late.delay, late.error]
        )
        context = copy_context()
        context.run(CURRENT.set, Context(self.ledger, lease))
        if ready.handler.is_async:
            self._loop.call_soon_threadsafe(self._spawn, self._run_async(ready, lease), context)
        else:
            self._over(context.run(self._run_sync, ready, lease))

    def _run_sync(self, ready: Attempt, lease: Lease) -> Outcome:
        arguments = [self._sync.guarded(lease.check)] if ready.handler.takes_client else []
        try:
            ready.handler.function(ready.event, *arguments)
        except BaseException as error:  # SystemExit and the like end an attempt, not the worker
            return self._failed(ready, error)
        return outcome(ready.claim, Verdict.DONE)

    def _spawn(self, attempt: Coroutine[Any, Any, None], context: ContextVars) -> None:
        task = self._loop.create_task(attempt, context=context)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def _run_async(self, ready: Attempt, lease: Lease) -> None:
        arguments = [self._async.guarded(lease.check)] if ready.handler.takes_client else []
        ended = outcome(ready.claim, Verdict.DONE)
        scope = asyncio.timeout(ready.handler.timeout)
        try:
            async with scope:
                await ready.handler.function(ready.event, *arguments)
        except BaseException as error:
            ended = timed_out(ready.claim, ready.handler) if scope.expired() else self._failed(ready, error)
        self._over(ended)

    def _failed(self, ready: Attempt, error: BaseException) -> Outcome:
        found = failed(ready.claim, ready.handler, error)
        told = {"run": ready.claim.unit, "handler": ready.handler.name, "outcome": found.verdict}
        log.warning("attempt ended: %s", found.error[:200], extra=told, exc_info=found.verdict is Verdict.FAILED)
        return found

    # --- the end of units

    def _over(self, ended: Outcome) -> None:
        """Tells the parent that the attempt is no longer late whatever happens, and has its end recorded."""
        self.pipe.send(over=ended.unit)
        self._outcomes.put(ended)

    def _record(self) -> None:
        """Writes outcomes as they come, all that wait at once. What could not be written is kept and tried again."""
        batch: list[Outcome] = []
        last = False
        while batch or not last:
            if not batch:
                batch, last = self._gather()
                continue
            try:
                self.ledger.finish(batch)
            except FAULTS as error:
                log.warning("outcomes not recorded yet", extra={"waiting": len(batch), "error": str(error)})
                time.sleep(WAIT)
                continue
            self._ended([one.unit for one in batch])
            batch = []

    def _gather(self) -> tuple[list[Outcome], bool]:
        found = [self._outcomes.get()]
        while not self._outcomes.empty() and len(found) < MOST:
            found.append(self._outcomes.get())
        return [one for one in found if one is not None], None in found

    def _ended(self, units: list[str], told: bool = False) -> None:
        for unit in units:
            self._held.pop(unit, None)
        if units and not told:
            self.pipe.send(ended=units)
        with self._changed:
            self._free += len(units)
            self._changed.notify_all()
