"""What the supervisor knows of one process: its claims, its last heartbeat, its deadline."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass, field
from typing import Any

from receiver.contract.keys import is_run

from ..ledger.units import Outcome, Ticket, Verdict
from .attempt import judge_unprepared
from .pipe import Pipe, unpack_outcome

PREPARE_SECONDS = 60.0  # for a dispatch, or for what precedes a handler: `when` is a user's code too
SLACK_SECONDS = 1.0  # that an attempt may be over its timeout before it counts as late
BEAT_SECONDS = 0.25  # between two heartbeats; well below SLACK_SECONDS, since they tell what began and ended
SILENT_SECONDS = 15.0  # without a heartbeat before the process is killed and its units are suspects

NEVER = float("inf")


@dataclass(slots=True)
class HeldUnit:
    """A unit that one of our processes has claimed, and what becomes of it should it not end in time."""

    unit: str
    token: int
    failures: int = 0
    late_at: float = NEVER
    late: Outcome | None = None  # as its process says, once its handler has begun
    in_loop: bool = False

    @property
    def ticket(self) -> Ticket:
        return self.unit, self.token

    def make_penalty(self) -> Outcome:
        """The outcome that is recorded if it is late."""
        reason = "not prepared in time: does its `when` end?"
        return self.late or judge_unprepared(self.unit, self.token, self.failures, reason)

    def explain_death(self, ended: int, now: float) -> str:
        """What a dispatch died of. ended: the exit status of its process."""
        if now > self.late_at:
            return f"not dispatched in {PREPARE_SECONDS:g} s: does a `when` end?"
        return f"its process died while dispatching the event: {name_exit(ended)}"

    def make_outcome(self, verdict: Verdict, error: str = "", delay: float = 0.0) -> Outcome:
        return Outcome(unit=self.unit, token=self.token, verdict=verdict, error=error, delay=delay)


@dataclass(slots=True)
class WatchedProcess:
    pid: int
    pipe: Pipe
    alone: bool
    born: float
    heard: float  # when it last said something
    held: dict[Ticket, HeldUnit] = field(default_factory=dict)
    kill_at: float = NEVER
    draining: bool = False

    def take_in(self, message: dict[str, Any]) -> None:
        now = self.heard = time.monotonic()
        for unit, token, failures in message.get("held", ()):
            self.held[unit, token] = HeldUnit(unit, token, failures, now + PREPARE_SECONDS)
        for unit, token in message.get("ended", ()):
            self.held.pop((unit, token), None)
        for left, charge, in_loop in message.get("started", ()):
            late = unpack_outcome(charge)
            if started := self.held.get(late.ticket):
                started.late_at = now + left + SLACK_SECONDS
                started.late = late
                started.in_loop = in_loop
        for unit, token in message.get("over", ()):
            if over := self.held.get((unit, token)):
                over.late_at = NEVER  # it ended; only the record of that is waited for
        if blocker := self.find_held(message, "blocked_by"):
            self._excuse_neighbours(blocker)

    def find_held(self, message: dict[str, Any], word: str) -> HeldUnit | None:
        """The unit of ours that the message speaks of under this word."""
        return self.held.get(tuple(message.get(word) or ()))

    def _excuse_neighbours(self, blocker: HeldUnit) -> None:
        """Extends the deadlines of all other attempts in a loop that one attempt blocks."""
        for one in self.held.values():
            if one.in_loop and one is not blocker:
                one.late_at += BEAT_SECONDS

    def list_late(self, now: float) -> list[HeldUnit]:
        """Attempts past their timeout, as of the last heartbeat: silence of several attempts proves nothing."""
        last_heard = now if self.alone else self.heard
        return [one for one in self.held.values() if last_heard > one.late_at]

    def is_silent(self, now: float) -> bool:
        """Whether heartbeats are missing for SILENT_SECONDS. A process with a single attempt may compute for longer."""
        over = all(one.late_at == NEVER for one in self.held.values())
        return self.born < self.heard < now - SILENT_SECONDS and (over or not self.alone)

    def drain(self, kill_at: float) -> None:
        """Tells it to take nothing new, and to end."""
        self.draining = True
        self.kill_at = min(self.kill_at, kill_at)
        self.pipe.send(drain=True)

    def give_up(self, now: float) -> list[Outcome]:
        """Kills it. The outcomes of its units: late attempts fail, all others are handed back.

        A late dispatch stays held: its death is counted in the ledger.
        """
        late = self.list_late(now)
        pay = [one.make_penalty() for one in late if is_run(one.unit)]
        back = [one.make_outcome(Verdict.HANDED) for one in self.held.values() if one not in late]
        self.held = {one.ticket: one for one in late if not is_run(one.unit)}
        self.kill()
        return pay + back

    def kill(self) -> None:
        """Ends it, and what its handlers started and left behind."""
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)

    def poll_exit(self) -> int | None:
        """Its exit status, negative for a signal, once it is gone; what it left behind is gone with it."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(status)


def name_exit(status: int) -> str:
    """An exit status, negative for a signal, in words."""
    return f"signal {-status}" if status < 0 else f"exit {status}"
