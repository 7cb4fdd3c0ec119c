"""Compares what was sent, acknowledged and handled. The words are those of Jepsen's total-queue."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .sender import Sent

IN_FLIGHT = 32  # runs that one worker may have begun when it is killed: its process' concurrency, twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    row: str
    sent: int
    acked: int
    refused: int
    unknown: int
    handled: int
    lost: int
    repeats: int  # starts of a handler for an event beyond the first, of handlers that do not fail by themselves
    allowed: int  # repeats that the row's kills explain
    doubles: int  # events beyond one for a delivery
    unexpected: int
    slowest_ack: float
    recovery: float

    @property
    def holds(self) -> bool:
        clean = not (self.lost or self.unexpected or self.doubles) and self.acked == self.sent
        return clean and self.repeats <= self.allowed and self.slowest_ack <= 2.2 and self.recovery <= 30


def check(row: str, sent: Sent, log: Path, *, kills: int, recovery: float) -> Report:
    lines = [line.split() for line in log.read_text().splitlines()]
    starts = Counter((event, name) for word, event, name, *_ in lines if word == "start" and name in ("one", "two"))
    ended = {event for word, event, name, *_ in lines if word == "end" and name == "one"}
    return Report(
        row=row,
        sent=len(sent.ids),
        acked=len(sent.acked),
        refused=sent.refused,
        unknown=sent.unknown,
        handled=len(ended),
        lost=len(set(sent.acked) - ended),
        repeats=sum(count - 1 for count in starts.values()),
        allowed=kills * IN_FLIGHT,
        doubles=len(sent.answers) - len(sent.acked),
        unexpected=len(ended - sent.ids),
        slowest_ack=sent.slowest,
        recovery=recovery,
    )
