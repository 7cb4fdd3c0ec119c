"""The parent of a worker's processes: renews their leases, watches them, replaces them, and runs no handler itself.

It has one thread, so that it may fork; whatever a handler does to its process, the parent goes on.
"""

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from receiver.contract.connection import FAULTS
from receiver.contract.keys import is_run

from .ledger import Ledger, Outcome, Verdict
from .pipe import Clock, Pipe, pair
from .sweeper import Sweeper

log = logging.getLogger(__name__)
EVERY = 5.0  # seconds between renewals and heartbeats
SWEEP = 1.0  # seconds between sweeps: what waits is woken so promptly
TICK = 0.5  # seconds between two looks at what is late
PREPARE = 60.0  # seconds for a dispatch, or for what precedes a handler: `when` is a user's code too
SLACK = 1.0  # seconds an attempt may be over its timeout until its process counts as stuck
GRACE = 10.0  # seconds for the neighbours of a late attempt
STOP_GRACE = 25.0  # seconds for what runs when the worker is told to stop
ALONE = 4  # processes at once that run one attempt each
BROKEN = 2  # exit status of a process whose handler modules do not import


@dataclass(slots=True)
class Held:
    """A unit that one of our processes has claimed."""

    token: int
    late_at: float = float("inf")
    late: tuple[str, float, str] = (Verdict.FAILED, 60.0, "not prepared in time: does its `when` end?")

    def outcome(self, unit: str, verdict: str, error: str = "", delay: float = 0.0) -> Outcome:
        return Outcome(unit=unit, token=self.token, verdict=Verdict(verdict), error=error, delay=delay)


@dataclass(slots=True)
class Child:
    pid: int
    pipe: Pipe
    alone: bool
    born: float
    held: dict[str, Held] = field(default_factory=dict)
    kill_at: float = float("inf")
    draining: bool = False

    def late(self, now: float) -> list[str]:
        return [unit for unit, one in self.held.items() if now > one.late_at]


class Parent:
    """start: forks a process with its pipe, the clock, a unit and token or None, and the ends it must not keep."""

    def __init__(
        self,
        ledger: Ledger,
        start: Callable[[Pipe, Clock, tuple[str, int] | None, list[Pipe]], int],
        *,
        processes: int = 1,
        heartbeat: Callable[[bool], None] = lambda busy: None,
        burst: bool = False,
    ) -> None:
        self.ledger = ledger
        self.sweeper = Sweeper(ledger)
        self.broken = ""
        self.children: dict[int, Child] = {}
        self.waiting: dict[str, Held] = {}  # runs that will have a process of their own
        self._clock = Clock()
        self._start = start
        self._processes = processes
        self._heartbeat = heartbeat
        self._burst = burst
        self._asked = 0
        self._stop_at = float("inf")
        self._selector = selectors.DefaultSelector()
        self._outcomes: list[Outcome] = []

    def stop(self) -> None:
        """Asks every process to take nothing new; asked again, kills them. Safe in a signal handler."""
        self._asked += 1

    def _stop(self) -> None:
        self._asked -= 1
        now = time.monotonic()
        self._stop_at = now if self.stopping else now + STOP_GRACE
        for child in self.children.values():
            self._drain(child, self._stop_at)
        self._outcomes += [held.outcome(unit, Verdict.HANDED) for unit, held in self.waiting.items()]
        self.waiting = {}

    @property
    def stopping(self) -> bool:
        return self._stop_at != float("inf")

    def run(self) -> None:
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        signal.set_wakeup_fd(woken.fileno(), warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ)
        try:
            self._loop(wake)
        finally:
            signal.set_wakeup_fd(-1)
            wake.close()
            woken.close()
            self._selector.close()

    def _loop(self, wake: socket.socket) -> None:
        due = sweep = 0.0
        while True:
            while self._asked:
                self._stop()
            now = time.monotonic()
            if not self.stopping:
                self._fill()
            self._watch(now)
            if now >= due:
                due = now + EVERY
                self._upkeep()
            if now >= sweep:
                sweep = now + SWEEP
                self._record()
                self._sweep()
            if self.stopping and not self.children and not self.waiting and not self._outcomes:
                return
            for key, _ in self._selector.select(TICK):
                if key.fileobj is wake:
                    wake.recv(4096)
                else:
                    self._hear(key.data)

    # --- processes

    def _fill(self) -> None:
        now = time.monotonic()
        workers = [child for child in self.children.values() if not child.alone and not child.draining]
        if len(workers) < self._processes:
            self._spawn(None)
        alone = sum(child.alone for child in self.children.values())
        for unit in list(self.waiting)[: max(0, ALONE - alone)]:
            held = self.waiting.pop(unit)
            held.late_at = now + PREPARE
            self._spawn((unit, held.token)).held[unit] = held

    def _spawn(self, unit: tuple[str, int] | None) -> Child:
        mine, theirs = pair()
        pid = self._start(theirs, self._clock, unit, [mine, *(child.pipe for child in self.children.values())])
        theirs.close()
        child = Child(pid, mine, unit is not None, time.monotonic())
        self.children[pid] = child
        self._selector.register(mine, selectors.EVENT_READ, child)
        return child

    def _hear(self, child: Child) -> None:
        messages = child.pipe.receive()
        if messages is None:
            self._bury(child)
            return
        for message in messages:
            self._take_in(child, message)

    def _take_in(self, child: Child, message: dict[str, Any]) -> None:
        for unit, token in message.get("held", ()):
            child.held[unit] = Held(token, time.monotonic() + PREPARE)
        for unit in message.get("ended", ()):
            child.held.pop(unit, None)
        if (unit := message.get("over")) in child.held:
            child.held[unit].late_at = float("inf")  # it ended; only the record of that is waited for
        if (unit := message.get("started")) in child.held:
            child.held[unit].late_at = time.monotonic() + message["timeout"] + SLACK
            verdict, delay, error = message["late"]
            child.held[unit].late = (verdict, delay, error)
        if unit := message.get("isolate"):
            child.held.pop(unit, None)
            held = Held(message["token"])
            if self.stopping:
                self._outcomes.append(held.outcome(unit, Verdict.HANDED))
            else:
                self.waiting[unit] = held
        self.broken = message.get("broken", self.broken)

    def _watch(self, now: float) -> None:
        """A process with a late attempt takes nothing new; when its neighbours are done or had their grace, it ends."""
        for child in list(self.children.values()):
            late = child.late(now)
            if late and child.alone:
                child.kill_at = now
            elif late and not child.draining:
                log.error("an attempt does not end: its process is replaced", extra={"runs": late, "pid": child.pid})
                self._drain(child, now + GRACE)
            if now >= child.kill_at or (late and len(late) == len(child.held)):
                self._kill(child, now)

    def _drain(self, child: Child, kill_at: float) -> None:
        child.draining = True
        child.kill_at = min(child.kill_at, kill_at)
        child.pipe.send(drain=True)

    def _kill(self, child: Child, now: float) -> None:
        """Ends a process of ours and answers for what it held: late attempts pay, all others are handed back."""
        late = child.late(now)
        for unit, held in child.held.items():
            if unit in late and is_run(unit):
                verdict, delay, error = held.late
                self._outcomes.append(held.outcome(unit, verdict, error, delay))
            elif is_run(unit):
                self._outcomes.append(held.outcome(unit, Verdict.HANDED))
        child.held = {unit: held for unit, held in child.held.items() if not is_run(unit)}
        os.kill(child.pid, signal.SIGKILL)
        child.kill_at = float("inf")

    def _bury(self, child: Child) -> None:
        self._selector.unregister(child.pipe)
        child.pipe.close()
        del self.children[child.pid]
        _, status = os.waitpid(child.pid, 0)
        ended = os.waitstatus_to_exitcode(status)
        if ended == BROKEN and self.broken:
            self.stop()
        if child.held:
            self._answer_for_the_dead(child, ended)
        if ended and not self.stopping and time.monotonic() - child.born < 1:
            time.sleep(0.5)  # a process that dies at once is not started in a busy loop

    def _answer_for_the_dead(self, child: Child, ended: int) -> None:
        log.error("a process died", extra={"pid": child.pid, "status": ended, "held": len(child.held)})
        if child.alone:
            said = f"its process died alone: {f'signal {-ended}' if ended < 0 else f'exit {ended}'}"
            self._outcomes += [held.outcome(unit, Verdict.DIED, said) for unit, held in child.held.items()]
            return
        try:  # the leases end now: the sweep makes suspects of the runs, and counts the death
            self.ledger.renew([(unit, held.token) for unit, held in child.held.items()], lease=0)
            self.sweeper.sweep()
        except FAULTS:
            self.sweeper.lose_contact()  # they end by themselves

    # --- the ledger

    def _upkeep(self) -> None:
        held = [child.held for child in self.children.values()] + [self.waiting]
        now = time.monotonic()
        try:
            lost = self.ledger.renew((unit, one.token) for part in held for unit, one in part.items())
            self._clock.set(now)
        except FAULTS as error:
            self.sweeper.lose_contact()
            log.warning("leases not renewed", extra={"error": str(error)})
            return
        for child in self.children.values() if lost else ():
            child.pipe.send(lost=lost)
        try:  # a Redis that is short of memory refuses RQ's heartbeat: that must not stop what helps it
            self.sweeper.shed()
            self._heartbeat(any(held))
        except FAULTS as error:
            log.warning("no heartbeat", extra={"error": str(error)})

    def _record(self) -> None:
        """Writes the outcomes of attempts whose process is gone; kept until Redis answers, or the worker must end."""
        try:
            if self._outcomes:
                self.ledger.finish(self._outcomes)
            self._outcomes = []
        except FAULTS as error:
            log.warning("outcomes not recorded yet", extra={"waiting": len(self._outcomes), "error": str(error)})
            if time.monotonic() > self._stop_at + GRACE:
                self._outcomes = []  # their leases end, and other workers find them

    def _sweep(self) -> None:
        if self.stopping:
            return
        if self.sweeper.sweep() is None or not self._burst or self.waiting or self._outcomes:
            return
        with contextlib.suppress(*FAULTS):
            if not any(child.held for child in self.children.values()) and self.ledger.idle():
                self.stop()
