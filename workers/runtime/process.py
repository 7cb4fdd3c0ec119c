"""One worker process: takes work, runs it, and reports to its supervisor.

The parent renews the leases, so whatever a handler does to this process, nobody else repeats its neighbours' runs.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs
from redis.exceptions import OutOfMemoryError

from receiver.contract import logs, memory
from receiver.contract.connection import FAULTS
from receiver.contract.keys import is_run
from receiver.contract.seal import Seal
from receiver.contract.sentry import Sentry
from receiver.contract.tracing import Tracing

from ..context import Lease
from ..ledger.transitions import Ledger
from ..ledger.units import Claim, Outcome, Ticket, Verdict, make_outcome
from ..router import Router
from . import limits
from .attempt import Attempt, conclude, describe_end, judge_unprepared, prepare
from .claims import HeldClaims
from .dispatcher import Dispatcher
from .failures import describe_error
from .performer import Performer, announce
from .pipe import Clock, Pipe
from .process_watch import BEAT_SECONDS
from .recorder import Recorder
from .spans import trace_dispatch
from .tallies import tally
from .threads import Call, HandlerThreads

if TYPE_CHECKING:
    from .clients import Clients

log = logging.getLogger(__name__)
POP_SECONDS = 1.0  # that a process waits for a job
GATHER_SECONDS = 0.005
MAX_TAKEN = 128  # units taken in one round trip
BLOCKED_SECONDS = 2.0  # for which a handler blocks the loop before the log names it


class Process:
    """memory: bytes of data it may hold; well below that it asks to be replaced. 0: it does not look.

    log_runs: whether attempts that end well are logged, too. log_errors: whether messages of exceptions are logged.
    """

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        seal: Seal,
        pipe: Pipe,
        clock: Clock,
        clients: "Callable[[], Clients]",
        concurrency: int = 16,
        memory: int = 0,
        log_runs: bool = True,
        log_errors: bool = False,
        tracing: Tracing | None = None,
        sentry: Sentry | None = None,
    ) -> None:
        self.ledger = ledger
        self.router = router
        self.seal = seal
        self.pipe = pipe
        self.clock = clock
        self.concurrency = concurrency
        self.draining = threading.Event()
        self._memory = memory
        self._log_errors = log_errors
        self._tracing = tracing
        self._sentry = sentry
        self._alone = False
        self._blocker: Ticket | None = None  # the attempt that holds the loop up, and since when
        self._blocked_since = 0.0
        self._more = False  # whether the queue had as much as we asked for
        self._holding = HeldClaims(pipe, clock, concurrency)
        self._recorder = Recorder(ledger, pipe, memory, self._holding.end)
        self._ends = logs.Lines(log, "attempt ended") if log_runs and log.isEnabledFor(logging.INFO) else None
        self._dispatcher = Dispatcher(
            ledger,
            router,
            seal,
            worn=lambda: limits.find_wear(memory),
            hand_over=self._recorder.hand_over,
            on_dispatched=self._begin_first,
            on_died=self._end,
            on_recorded=partial(trace_dispatch, tracing) if tracing else None,
        )
        self._threads = HandlerThreads(concurrency)
        self._is_ordered = any(handler.ordered for handler in router)
        taken = any(handler.takes_client for handler in router)
        self._performer = Performer(ledger, clients if taken else None, self._conclude, tracing)

    # --- the process as a whole

    def run(self) -> None:
        """Works until it is told to drain and all its units have ended."""
        self._start()
        while not self.draining.is_set():
            if room := self._wait_for_room():
                self._take(room)
        self._stop()

    def run_alone(self, unit: str, token: int) -> None:
        """One attempt of one run, and nothing else in this process."""
        self._alone = True
        self._start()
        try:
            claim = self.ledger.claim_alone(unit, token)
        except FAULTS as error:
            self._end(Outcome(unit=unit, token=token, verdict=Verdict.HANDED, error=str(error)))
        else:
            if claim:
                self._begin([claim])
            else:
                self._holding.end([(unit, token)])
        self._stop()

    def _start(self) -> None:
        os.register_at_fork(after_in_child=self.pipe.close)  # a handler's child must not speak for us
        self._performer.start()
        self._threads.start()
        for target in (self._listen, self._send_heartbeats):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        self._recorder.start()
        memory.settle()

    def _stop(self) -> None:
        self._holding.wait_until_empty()
        self._recorder.stop()
        self._write_log()
        for telemetry in (self._tracing, self._sentry):
            if telemetry:
                telemetry.flush()

    def _listen(self) -> None:
        """What the parent says. A parent that is gone renews no lease: whatever we do now may be done twice."""
        while (messages := self.pipe.receive()) is not None:
            for message in messages:
                for unit, token in message.get("lost", ()):
                    self._holding.lose((unit, token))
                if message.get("drain"):
                    self.draining.set()
        os._exit(1)  # pragma: no cover - nothing of this process outlives it

    def _send_heartbeats(self) -> None:
        """Shows the parent that this process lives, what began and ended, and which attempt holds the loop up."""
        while True:
            time.sleep(BEAT_SECONDS)
            if not self.pipe.is_whole:
                os._exit(1)  # pragma: no cover - a handler closed what was not its own: nothing here can be trusted
            self._report()
            self._write_log()
            if not self._alone and not self.draining.is_set():
                self._leave(limits.find_wear(self._memory))

    def _report(self) -> None:
        """An attempt that ends between two reports is never told of: the parent need not know."""
        started, over = self._performer.list_started(), self._holding.list_unrecorded()
        blocker = self._performer.find_blocker()
        self._watch_loop(blocker)
        self.pipe.send(blocked_by=blocker, started=started, over=over)

    def _watch_loop(self, blocker: Ticket | None) -> None:
        """Names an `async def` handler that blocks the event loop, and so all others, once after a while."""
        if blocker != self._blocker:
            self._blocker, self._blocked_since = blocker, time.monotonic()
        seconds = time.monotonic() - self._blocked_since
        ready = self._performer.find_running(blocker) if blocker and seconds >= BLOCKED_SECONDS else None
        if ready:
            facts = ready.describe() | {"seconds": round(seconds, 1)}
            log.warning("a handler blocks the event loop: use `await`, asyncio.to_thread or a `def`", extra=facts)
            self._blocked_since = float("inf")  # once is enough

    def _leave(self, reason: str) -> None:
        if reason:
            self.draining.set()
            self.pipe.send(leaves=reason)

    # --- taking work

    def _wait_for_room(self) -> int:
        """Places that are free. Of a long queue we take half of them at a time, and wait a moment for that many."""
        if self._more:
            self._holding.wait_for_room(min(self.concurrency // 2, MAX_TAKEN), GATHER_SECONDS)
        return self._holding.wait_for_room(1, POP_SECONDS)

    def _take(self, room: int) -> None:
        asked = min(room, MAX_TAKEN)
        try:
            popped = [] if self._more else self._pop()
            if popped is None:
                return
            if self.draining.is_set():
                self.ledger.put_back(popped)
                return
            claims = self.ledger.take(popped, asked - len(popped), ordered=self._is_ordered)
        except FAULTS as error:
            log.warning("Redis does not answer", extra={"error": str(error)})
            self.draining.wait(POP_SECONDS)
            return
        self._more = len(claims) == asked
        self._begin(claims)

    def _pop(self) -> list[str] | None:
        """A job, or none in time. A full Redis refuses to move one: then only the claim, which it lets through."""
        try:
            popped = self.ledger.pop(int(POP_SECONDS))
        except OutOfMemoryError:
            self.draining.wait(POP_SECONDS)
            return []
        return [popped] if popped else None

    def _begin(self, claims: Sequence[Claim]) -> None:
        """A user's code, `when` or handler, runs in a thread or in the loop; all else is done here, in one go."""
        ours, theirs, begins = [], list[Call](), not self.draining.is_set()
        for claim, lease in zip(claims, self._holding.change(claims), strict=True):
            if is_run(claim.unit):
                theirs.append((self._start_attempt, claim, lease))
            elif self._dispatcher.must_be_apart(claim):
                theirs.append((self._dispatcher.dispatch, [claim], begins))
            else:
                ours.append(claim)
        self._threads.put(theirs)
        self._dispatcher.dispatch(ours, begins)

    def _begin_first(self, begun: Sequence[Attempt], dispatched: Sequence[Ticket]) -> None:
        """Each first attempt has the place that its event's dispatch had."""
        leases = self._holding.change([ready.claim for ready in begun], dispatched)
        in_loop, in_threads = [], list[Call]()
        for ready, lease in zip(begun, leases, strict=True):
            if ready.handler.is_async and not self.draining.is_set():
                in_loop.append((ready, lease))
            else:
                in_threads.append((self._perform, ready, lease))
        self._threads.put(in_threads)
        if in_loop:
            self._performer.spawn(in_loop)

    # --- attempts

    def _start_attempt(self, claim: Claim, lease: Lease) -> None:
        """Prepares an attempt and starts it: here if it is a `def` handler, else in the loop.

        What must run alone is prepared there too: a `when` may kill its process as well.
        """
        handler = self.router.get(claim.handler)
        if (claim.suspect or (handler and handler.isolated)) and not self._alone and not self.draining.is_set():
            self._isolate(claim)
            return
        try:
            ready = prepare(claim, self.router, self.seal, self.ledger)
        except FAULTS as error:
            ready = make_outcome(claim, Verdict.HANDED, str(error))
        except Exception as error:  # a fault of ours must not keep the run's place for ever
            log.exception("attempt not prepared", extra={"run": claim.unit})
            ready = judge_unprepared(claim.unit, claim.token, claim.failures, describe_error(error))
        if isinstance(ready, Outcome):
            self._end(ready)
        else:
            self._perform(ready, lease)

    def _perform(self, ready: Attempt, lease: Lease) -> None:
        if self.draining.is_set() and not self._alone:
            self._end(make_outcome(ready.claim, Verdict.HANDED, slot=ready.slot))
        else:
            if self._alone:  # a handler that keeps the interpreter to itself lets no report through
                self.pipe.send(started=[announce(ready, time.monotonic())])
            self._performer.perform(ready, lease)

    def _isolate(self, claim: Claim) -> None:
        """The parent takes the run over, for a process of its own."""
        self.pipe.send(isolate=claim.ticket)
        self._holding.end([claim.ticket], parent_knows=True)

    def _write_log(self) -> None:
        """The lines that wait."""
        if self._ends:
            self._ends.flush()

    def _conclude(self, ready: Attempt, error: BaseException | None, seconds: float) -> None:
        if isinstance(error, MemoryError) and not self._alone:  # a neighbour may have taken the memory
            self._leave("an attempt found no memory")
            self._isolate(ready.claim)
        else:
            outcome = conclude(ready, error, seconds, self._log_errors)
            outcome = structs.replace(outcome, tallies=tally(ready, outcome.verdict, seconds), ms=int(seconds * 1000))
            if error is not None and outcome.cause and self._sentry:
                self._sentry.capture(
                    error, event=ready.event.id, handler=ready.handler.name, attempt=ready.claim.attempt
                )
            if error is None and seconds > ready.handler.timeout:
                facts = {"seconds": round(seconds, 1), "timeout": ready.handler.timeout}
                log.warning("done, but only after its timeout", extra=facts | ready.describe())
            if error is None and self._ends is not None:
                self._ends.add(describe_end(ready, outcome.verdict, seconds))
            self._end(outcome)

    def _end(self, ended: Outcome) -> None:
        """Has the end recorded; from the next report on the attempt is no longer late, whatever happens."""
        self._holding.note_end(ended.ticket)
        self._recorder.put(ended)
