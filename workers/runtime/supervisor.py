"""The supervisor of a worker's processes: renews leases, watches and replaces processes, and runs no handler.

It has one thread, so that it may fork; whatever a handler does to its process, the parent goes on.
"""

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from receiver.contract.connection import FAULTS
from receiver.contract.keys import is_run

from ..ledger.sweeper import Sweeper
from ..ledger.transitions import Ledger
from ..ledger.units import Outcome, Ticket, Verdict
from .pipe import Clock, Pipe, make_pair, unpack_outcome
from .process_watch import NEVER, PREPARE_SECONDS, HeldUnit, WatchedProcess, name_exit
from .pulse import Phase

log = logging.getLogger(__name__)
RENEW_SECONDS = 5.0  # between renewals and heartbeats
SWEEP_SECONDS = 1.0  # between sweeps: what waits is woken so promptly
NEXT_SWEEP_SECONDS = 0.05  # where one sweep could not do all: large numbers are worked off in parts
LOOK_SECONDS = 0.5  # between two looks at what is late
GRACE_SECONDS = 10.0  # for the neighbours of a late attempt
STOP_GRACE_SECONDS = 25.0  # for what runs when the worker is told to stop
MAX_ALONE = 8  # processes at once that run one attempt each
MAX_WAITING_ALONE = 16  # runs that may wait for one of those; more wait in the ledger
BUSY_SECONDS = 2.0  # until a run asks again for a process of its own
BROKEN_STATUS = 2  # exit status of a process whose handler modules do not import


class Supervisor:
    """start: forks a process with its pipe, the clock, a unit and token or None, and the ends it must not keep."""

    def __init__(
        self,
        ledger: Ledger,
        start: Callable[[Pipe, Clock, Ticket | None, list[Pipe]], int],
        *,
        processes: int = 1,
        heartbeat: Callable[[bool], None] = lambda busy: None,
        burst: bool = False,
        beat: Callable[[Phase], None] = lambda phase: None,
        keep_done_min: float = 0.0,
    ) -> None:
        self.ledger = ledger
        self.sweeper = Sweeper(ledger, keep_done_min)
        self.broken = ""
        self.children: dict[int, WatchedProcess] = {}
        self.waiting: dict[Ticket, HeldUnit] = {}  # runs that will have a process of their own
        self._clock = Clock()
        self._start = start
        self._processes = processes
        self._heartbeat = heartbeat
        self._burst = burst
        self._beat = beat
        self._asked = 0
        self._is_reload_due = False
        self._stop_at = NEVER
        self._looked = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._outcomes: list[Outcome] = []

    def stop(self) -> None:
        """Drains every process; the second call kills them. Safe in a signal handler."""
        self._asked += 1

    def reload(self) -> None:
        """Replaces every process, so that handler modules are imported anew. Safe in a signal handler."""
        self._is_reload_due = True

    def _reload(self) -> None:
        self._is_reload_due = False
        log.info("processes are replaced")
        for child in self.children.values():
            if not child.alone:
                child.drain(NEVER)

    def _stop(self) -> None:
        self._asked -= 1
        now = time.monotonic()
        self._stop_at = now if self.stopping else now + STOP_GRACE_SECONDS
        for child in self.children.values():
            child.drain(self._stop_at)
        self._outcomes += [unit.make_outcome(Verdict.HANDED) for unit in self.waiting.values()]
        self.waiting = {}

    @property
    def stopping(self) -> bool:
        return self._stop_at != NEVER

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
        due = sweep = room = 0.0
        while True:
            while self._asked:
                self._stop()
            if self._is_reload_due:
                self._reload()
            now = time.monotonic()
            self._beat(Phase.STOPPING if self.stopping else Phase.RUNNING)
            if not self.stopping:
                self._fill()
            self._watch(now)
            if now >= due:
                due = now + (RENEW_SECONDS if self._renew() else SWEEP_SECONDS)
            if now >= sweep:
                self._record()
                sweep = now + (NEXT_SWEEP_SECONDS if self._sweep() else SWEEP_SECONDS)
            if now >= room:
                room = now + (NEXT_SWEEP_SECONDS if self._make_room() else SWEEP_SECONDS)
            if self.stopping and not self.children and not self.waiting and not self._outcomes:
                return
            for key, _ in self._selector.select(min(LOOK_SECONDS, max(0.0, min(sweep, room) - time.monotonic()))):
                if key.fileobj is wake:
                    wake.recv(4096)
                else:
                    self._receive(key.data)

    # --- processes

    def _fill(self) -> None:
        now = time.monotonic()
        workers = [child for child in self.children.values() if not child.alone and not child.draining]
        if len(workers) < self._processes:
            self._spawn(None)
        alone = sum(child.alone for child in self.children.values())
        for key in list(self.waiting)[: max(0, MAX_ALONE - alone)]:
            unit = self.waiting.pop(key)
            unit.late_at = now + PREPARE_SECONDS
            self._spawn(key).held[key] = unit

    def _spawn(self, unit: Ticket | None) -> WatchedProcess:
        mine, theirs = make_pair()
        pid = self._start(theirs, self._clock, unit, [mine, *(child.pipe for child in self.children.values())])
        theirs.close()
        now = time.monotonic()
        child = WatchedProcess(pid, mine, unit is not None, born=now, heard=now)
        self.children[pid] = child
        self._selector.register(mine, selectors.EVENT_READ, child)
        return child

    def _receive(self, child: WatchedProcess) -> None:
        """Takes in what the process said. A process that cannot speak any more is ended."""
        messages = child.pipe.receive()
        if messages is None:
            self._selector.unregister(child.pipe)
            child.kill()
        for message in messages or ():
            self._take_in(child, message)

    def _take_in(self, child: WatchedProcess, message: dict[str, Any]) -> None:
        child.take_in(message)
        if unit := child.find_held(message, "isolate"):
            del child.held[unit.ticket]
            self._isolate(unit)
        for outcome in map(unpack_outcome, message.get("record", ())):
            if child.held.pop(outcome.ticket, None):
                self._outcomes.append(outcome)
        if reason := message.get("leaves"):
            log.warning("a process takes nothing new and is replaced: %s", reason, extra={"pid": child.pid})
            child.drain(NEVER)
        self.broken = message.get("broken", self.broken)

    def _isolate(self, unit: HeldUnit) -> None:
        if self.stopping:
            self._outcomes.append(unit.make_outcome(Verdict.HANDED))
        elif len(self.waiting) >= MAX_WAITING_ALONE:
            self._outcomes.append(unit.make_outcome(Verdict.BUSY, "", BUSY_SECONDS))
        else:
            self.waiting[unit.ticket] = unit

    def _watch(self, now: float) -> None:
        """Drains a process with a late attempt, and kills it when its others have ended or their grace is over."""
        blind, self._looked = now - self._looked > GRACE_SECONDS, now
        for child in list(self.children.values()):
            if (ended := child.poll_exit()) is not None:
                self._clean_up(child, ended)
                continue
            if blind:  # we were paused ourselves: their signs of life may be unread
                child.heard = now
            self._watch_one(child, now)

    def _watch_one(self, child: WatchedProcess, now: float) -> None:
        late = child.list_late(now)
        if late and child.kill_at == NEVER:
            log.error(
                "an attempt does not end: its process is replaced",
                extra={"runs": [one.unit for one in late], "pid": child.pid},
            )
            child.drain(now if child.alone else now + GRACE_SECONDS)
        if child.is_silent(now):
            log.error("a process shows no sign of life", extra={"pid": child.pid, "held": len(child.held)})
            child.kill()
        elif (now >= child.kill_at and self._may_kill(now)) or (late and len(late) == len(child.held)):
            self._outcomes += child.give_up(now)

    def _may_kill(self, now: float) -> bool:
        """Whether processes had a chance to record their outcomes: Redis has answered for a while."""
        contact = self.sweeper.contact_since
        return self.stopping or 0 < contact <= now - 3 * SWEEP_SECONDS

    def _clean_up(self, child: WatchedProcess, ended: int) -> None:
        while last_words := child.pipe.receive():
            for message in last_words:
                self._take_in(child, message)
        with contextlib.suppress(KeyError):  # its end of the pipe was gone before
            self._selector.unregister(child.pipe)
        child.pipe.close()
        del self.children[child.pid]
        if ended == BROKEN_STATUS and self.broken:
            self.stop()
        if child.held:
            self._answer_for_the_dead(child, ended)
        if ended and not self.stopping and time.monotonic() - child.born < 1:
            time.sleep(0.5)  # a process that dies at once is not started in a busy loop

    def _answer_for_the_dead(self, child: WatchedProcess, ended: int) -> None:
        if ended == BROKEN_STATUS and self.broken:
            self._outcomes += [unit.make_outcome(Verdict.HANDED) for unit in child.held.values()]
            return
        log.error("a process died", extra={"pid": child.pid, "status": ended, "held": len(child.held)})
        if child.alone:
            reason = f"its process died alone: {name_exit(ended)}"
            self._outcomes += [unit.make_outcome(Verdict.DIED, reason) for unit in child.held.values()]
            return
        units, now = child.held.values(), time.monotonic()
        for unit in units:
            if not is_run(unit.unit):
                self._outcomes.append(unit.make_outcome(Verdict.DIED, unit.explain_death(ended, now)))
        try:  # the leases of runs end now: the sweep makes suspects of them, and counts the death
            self.ledger.renew([unit.ticket for unit in units if is_run(unit.unit)], lease=0)
            self.sweeper.sweep()
        except FAULTS:
            self.sweeper.lose_contact()  # they end by themselves

    # --- the ledger

    def _renew(self) -> bool:
        """Whether the leases are renewed."""
        tickets = [key for child in self.children.values() for key in child.held] + list(self.waiting)
        now = time.monotonic()
        try:
            lost = self.ledger.renew(tickets)
            self._clock.set(now)
        except FAULTS as error:
            self.sweeper.lose_contact()
            log.warning("leases not renewed", extra={"error": str(error)})
            return False
        self._tell_lost(lost)
        try:  # a Redis that is short of memory refuses RQ's heartbeat
            self._heartbeat(bool(tickets))
        except FAULTS as error:
            log.warning("no heartbeat", extra={"error": str(error)})
        return True

    def _tell_lost(self, lost: list[Ticket]) -> None:
        for child in self.children.values():
            if theirs := [key for key in lost if key in child.held]:
                child.pipe.send(lost=theirs)
        for key in lost:
            self.waiting.pop(key, None)

    def _record(self) -> None:
        """Writes the outcomes of attempts whose process is gone; kept until Redis answers, or the worker must end."""
        try:
            if self._outcomes:
                self.ledger.finish(self._outcomes)
            self._outcomes = []
        except FAULTS as error:
            log.warning("outcomes not recorded yet", extra={"waiting": len(self._outcomes), "error": str(error)})
            if time.monotonic() > self._stop_at + GRACE_SECONDS:
                self._outcomes = []  # their leases end, and other workers find them

    def _sweep(self) -> bool:
        """Whether there is more to do than one sweep does."""
        swept = None if self.stopping else self.sweeper.sweep()
        if swept is None:
            return False
        if self._burst and not self.waiting and not self._outcomes:
            with contextlib.suppress(*FAULTS):
                if not any(child.held for child in self.children.values()) and self.ledger.is_idle():
                    self.stop()
        return swept.full

    def _make_room(self) -> bool:
        """Whether to look at Redis' memory again soon. While it is out of reach nobody looks: a try takes seconds."""
        if self.stopping or not self.sweeper.contact_since:
            return False
        try:
            return self.sweeper.make_room()
        except FAULTS:
            return False
