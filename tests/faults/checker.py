"""Compares what was sent, acknowledged and handled. The words are those of Jepsen's total-queue."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .sender import Sent

IN_FLIGHT = 32  # runs that one worker may have begun when it is killed: its process' concurrency, twice
NEVER, MILLISECOND = float("inf"), 0.0015  # as exact as a log and a clock in milliseconds can be
FAILING = ("fails", "poison")  # handlers that start again because they failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    row: str
    sent: int
    acked: int
    refused: int
    unknown: int
    handled: int
    lost: int
    after_done: int  # attempts that started after the ledger had recorded the event's end: must be 0
    overlaps: int  # attempts that started while an earlier one of the same run still went on to its end
    repeats: int  # all other attempts beyond the first, of handlers that do not fail by themselves
    allowed: int  # overlaps and repeats that the row's kills explain
    doubles: int  # events beyond one for a delivery
    unexpected: int
    slowest_ack: float
    worst_delay: float  # from the 202 to the first start
    recovery: float
    note: str = ""  # what else the row found wrong
    may_lose: bool = False

    @property
    def holds(self) -> bool:
        clean = not (self.unexpected or self.doubles or self.after_done or self.note) and self.acked == self.sent
        kept = self.may_lose or not self.lost
        bounded = self.overlaps + self.repeats <= self.allowed
        return clean and kept and bounded and self.slowest_ack <= 2.2 and self.recovery <= 30


@dataclass(slots=True)
class Attempt:
    start: float
    end: float | None = None


def attempts(log: Path) -> dict[tuple[str, str], list[Attempt]]:
    """What the handlers noted, by event and handler, in the order of their starts."""
    found: dict[str, tuple[str, str, Attempt]] = {}
    for line in log.read_text().splitlines():
        word, event, name, _, when, key = line.split()
        if word == "start":
            found[key] = (event, name, Attempt(float(when)))
        else:
            found[key][2].end = float(when)
    ordered: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for event, name, attempt in sorted(found.values(), key=lambda one: one[2].start):
        ordered[event, name].append(attempt)
    return ordered


def handled(found: Mapping[tuple[str, str], list[Attempt]]) -> set[str]:
    """The events whose main handler came to its end."""
    return {event for (event, name), tries in found.items() if name == "one" and any(one.end for one in tries)}


def check(
    row: str,
    sent: Sent,
    log: Path,
    done: Mapping[str, float],
    *,
    kills: int = 0,
    recovery: float = 0.0,
    note: str = "",
    may_lose: bool = False,
) -> Report:
    """done: when the ledger recorded the end of an event, by its delivery id."""
    found = attempts(log)
    ended = handled(found)
    after_done = overlaps = repeats = 0
    for (event, name), tries in found.items():
        after_done += sum(one.start > done.get(event, NEVER) + MILLISECOND for one in tries)
        for before, one in pairwise(tries):
            if before.end and one.start < before.end:
                overlaps += 1
            elif name not in FAILING:
                repeats += 1
    first = {event: tries[0].start for (event, name), tries in found.items() if name == "one"}
    return Report(
        row=row,
        sent=len(sent.ids),
        acked=len(sent.acked),
        refused=sent.refused,
        unknown=sent.unknown,
        handled=len(ended),
        lost=len(set(sent.acked) - ended),
        after_done=after_done,
        overlaps=overlaps,
        repeats=repeats,
        allowed=kills * IN_FLIGHT,
        doubles=len(sent.answers) - len(sent.acked),
        unexpected=len({event for event, _ in found} - sent.ids),
        slowest_ack=sent.slowest,
        worst_delay=max((first[event] - when for event, when in sent.acked.items() if event in first), default=0.0),
        recovery=recovery,
        note=note,
        may_lose=may_lose,
    )
