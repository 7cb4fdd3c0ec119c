"""One worker process: takes work, has it done, and answers to its parent for what it holds.

The parent renews the leases, so whatever a handler does to this process, nobody else repeats its neighbours' runs.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from redis.exceptions import OutOfMemoryError

from receiver.contract.connection import FAULTS, text
from receiver.contract.keys import is_run
from receiver.contract.seal import Seal

from . import limits
from .attempt import Attempt, concluded, outcome, prepare, told, unprepared
from .child import BEAT
from .context import Lease
from .dispatch import dispatch
from .ledger import Claim, Ledger, Outcome, Ticket, Verdict
from .performer import Performer
from .pipe import Clock, Pipe
from .recorder import Recorder
from .router import Router
from .zyra import AsyncZyra, Zyra

log = logging.getLogger(__name__)
WAIT = 1.0  # seconds a process waits for work before it looks around
MOST = 64  # units taken in one round trip


class Process:
    """memory: bytes of data it may hold; well below that it asks to be replaced. 0: it does not look."""

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        seal: Seal,
        pipe: Pipe,
        clock: Clock,
        clients: Callable[[], tuple[Zyra, AsyncZyra]],
        concurrency: int = 16,
        memory: int = 0,
    ) -> None:
        self.ledger = ledger
        self.router = router
        self.seal = seal
        self.pipe = pipe
        self.clock = clock
        self.concurrency = concurrency
        self.draining = threading.Event()
        self._memory = memory
        self._alone = False
        self._free = concurrency
        self._changed = threading.Condition()
        self._held: dict[Ticket, Lease] = {}
        self._recorder = Recorder(ledger, pipe, memory, self._ended)
        self._threads = ThreadPoolExecutor(concurrency, "handler")
        self._performer = Performer(ledger, pipe, clients, self._conclude)

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
        self._alone = True
        self._start()
        self._free -= 1
        try:
            claim = self.ledger.alone(unit, token)
        except FAULTS as error:
            self._over(Outcome(unit=unit, token=token, verdict=Verdict.HANDED, error=str(error)))
        else:
            if claim:
                self._begin(claim)
            else:
                self._ended([(unit, token)])
        self._stop()

    def _start(self) -> None:
        os.register_at_fork(after_in_child=self.pipe.close)  # a handler's child must not speak for us
        self._performer.start()
        for target in (self._listen, self._beat):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        self._recorder.start()

    def _stop(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free == self.concurrency)
        self._recorder.stop()

    def _listen(self) -> None:
        """What the parent says. A parent that is gone renews no lease: whatever we do now may be done twice."""
        while (messages := self.pipe.receive()) is not None:
            for message in messages:
                for unit, token in message.get("lost", ()):
                    if lease := self._held.get((unit, token)):
                        lease.lost = True
                if message.get("drain"):
                    self.draining.set()
        os._exit(1)  # pragma: no cover - nothing of this process outlives it

    def _beat(self) -> None:
        """Shows the parent that this process lives, and which attempt holds the loop up."""
        while True:
            time.sleep(BEAT)
            if not self.pipe.whole:
                os._exit(1)  # pragma: no cover - a handler closed what was not its own: nothing here can be trusted
            self.pipe.send(blocked_by=self._performer.blocked_by())
            if not self._alone and not self.draining.is_set():
                self._leave(limits.worn(self._memory))

    def _leave(self, reason: str) -> None:
        if reason:
            self.draining.set()
            self.pipe.send(leaves=reason)

    # --- taking work

    def _room(self) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0, WAIT)
            return self._free

    def _take(self, room: int) -> None:
        try:
            popped = self._pop()
            if popped is None:
                return
            if self.draining.is_set():
                self.ledger.put_back(popped)
                return
            claims = self.ledger.take(popped, min(room, MOST) - len(popped))
        except FAULTS as error:
            log.warning("Redis does not answer", extra={"error": str(error)})
            self.draining.wait(WAIT)
            return
        self.pipe.send(held=[(claim.unit, claim.token, claim.failures) for claim in claims])
        with self._changed:
            self._free -= len(claims)
        for claim in claims:
            self._begin(claim)

    def _pop(self) -> list[str] | None:
        """A job, or none in time. A full Redis refuses to move one: then only the claim, which it lets through."""
        keys = self.ledger.keys
        try:
            popped = self.ledger.client.blmove(keys.jobs, keys.intermediate, int(WAIT), "LEFT", "RIGHT")
        except OutOfMemoryError:
            self.draining.wait(WAIT)
            return []
        return [text(popped)] if popped else None

    def _begin(self, claim: Claim) -> None:
        lease = Lease(claim.claimed_at, self.clock.get)
        self._held[claim.ticket] = lease
        if is_run(claim.unit):
            self._threads.submit(self._attempt, claim, lease)
        else:
            self._threads.submit(self._dispatch, claim)

    # --- one unit

    def _dispatch(self, claim: Claim) -> None:
        while not self._dispatched(claim):
            time.sleep(WAIT)

    def _dispatched(self, claim: Claim) -> bool:
        """Whether the dispatch is over for us; else it is to be tried again."""
        try:
            dispatch(claim, self.router, self.seal, self.ledger)
        except FAULTS as error:
            log.warning("dispatch not recorded yet", extra={"event": claim.unit, "error": str(error)})
            if limits.worn(self._memory):
                self._recorder.hand_over([outcome(claim, Verdict.HANDED)])
                return True
            return False
        except Exception:  # a fault of ours: its lease ends, and the third time the event is a dead letter
            log.exception("dispatch failed", extra={"event": claim.unit})
        self._ended([claim.ticket])
        return True

    def _attempt(self, claim: Claim, lease: Lease) -> None:
        """Prepares an attempt and starts it: here if it is a `def` handler, else in the loop."""
        try:
            ready = prepare(claim, self.router, self.seal, self.ledger)
        except FAULTS as error:
            ready = outcome(claim, Verdict.HANDED, str(error))
        except Exception as error:  # a fault of ours must not keep the run's place for ever
            log.exception("attempt not prepared", extra={"run": claim.unit})
            ready = unprepared(claim.unit, claim.token, claim.failures, told(error))
        if isinstance(ready, Outcome):
            self._over(ready)
        elif self.draining.is_set() and not self._alone:
            self._over(outcome(claim, Verdict.HANDED))
        elif (ready.handler.isolated or claim.suspect) and not self._alone:
            self._isolate(claim)
        else:
            self._performer.perform(ready, lease)

    def _isolate(self, claim: Claim) -> None:
        """The parent takes the run over, for a process of its own."""
        self.pipe.send(isolate=claim.ticket)
        self._ended([claim.ticket], told=True)

    def _conclude(self, ready: Attempt, error: BaseException | None) -> None:
        if isinstance(error, MemoryError) and not self._alone:  # a neighbour may have taken the memory
            self._leave("an attempt found no memory")
            self._isolate(ready.claim)
        else:
            self._over(concluded(ready, error))

    # --- the end of units

    def _over(self, ended: Outcome) -> None:
        """Tells the parent that the attempt is no longer late whatever happens, and has its end recorded."""
        self.pipe.send(over=ended.ticket)
        self._recorder.put(ended)

    def _ended(self, units: list[Ticket], told: bool = False) -> None:
        for unit in units:
            self._held.pop(unit, None)
        if units and not told:
            self.pipe.send(ended=units)
        with self._changed:
            self._free += len(units)
            self._changed.notify_all()
