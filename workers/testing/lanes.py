"""What flow control asks of the ledger, in memory: `slot.lua`, `rate.lua` and `debounce.lua`, as Python."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Group:
    """Runs of a lane that wait for quiet; times in ms."""

    run: str
    since: int
    due: int


@dataclass(slots=True)
class Starts:
    """Attempts of a lane that started lately, and those that are planned; times in ms."""

    made: dict[str, int] = field(default_factory=dict)
    planned: dict[str, int] = field(default_factory=dict)


class LaneMemory:
    """clock: seconds. It stands for the ledger in `find_hold`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._groups: dict[str, Group] = {}
        self._started: set[str] = set()
        self._superseded: dict[str, str] = {}
        self._starts: dict[str, Starts] = {}
        self._newest: dict[str, float] = {}
        self._ended: set[str] = set()

    def note_end(self, lane: str, run: str, age: float | None) -> None:
        """age: of its event, if the run is done."""
        self._ended.add(run)
        if age is not None:
            self._newest[lane] = max(age, self._newest.get(lane, -math.inf))

    def take_place(self, lane: str, places: int, run: str) -> bool:
        """An attempt takes no time, so there is a place."""
        return True

    def is_stale(self, lane: str, age: float) -> bool:
        return self._newest.get(lane, -math.inf) > age

    def plan_start(self, lane: str, most: int, seconds: float, attempt: str) -> float:
        now, window = self._read_ms(), int(seconds * 1000)
        starts = self._starts.setdefault(lane, Starts())
        for times in (starts.made, starts.planned):
            for one, at in list(times.items()):
                if at <= now - window:
                    del times[one]
        if attempt in starts.made:
            return 0.0
        own = starts.planned.get(attempt, 0)
        if own > now:
            return (own - now) / 1000
        ahead = 0 if own else len(starts.planned)
        last = find_nth_last(starts.planned, most) if ahead >= most else find_nth_last(starts.made, most - ahead)
        at = now if last is None else max(now, last + window)
        if at > now:
            starts.planned[attempt] = at
            return (at - now) / 1000
        starts.planned.pop(attempt, None)
        starts.made[attempt] = now
        return 0.0

    def settle_debounce(self, lane: str, run: str, quiet: float, longest: float, newest: bool) -> tuple[float, str]:
        now, quiet_ms, longest_ms = self._read_ms(), int(quiet * 1000), int(longest * 1000)
        if run in self._started:
            return 0.0, ""
        if run in self._superseded:
            return 0.0, self._superseded[run]
        group = self._groups.get(lane)
        if group is None:
            return self._lead(lane, Group(run, now, min(now + quiet_ms, now + longest_ms)), now)
        if group.run == run:
            return self._lead(lane, group, now)
        due = min(now + quiet_ms, group.since + longest_ms)
        if group.run in self._ended:
            return self._lead(lane, Group(run, group.since, due), now)
        if (run > group.run) == newest:
            self._superseded[group.run] = run
            return self._lead(lane, Group(run, group.since, due), now)
        self._superseded[run] = group.run
        group.due = due
        return 0.0, group.run

    def _lead(self, lane: str, group: Group, now: int) -> tuple[float, str]:
        """Until the run of the group starts; at that moment the group ends."""
        if group.due > now:
            self._groups[lane] = group
            return (group.due - now) / 1000, ""
        self._groups.pop(lane, None)
        self._started.add(group.run)
        return 0.0, ""

    def _read_ms(self) -> int:
        return round(self._clock() * 1000)


def find_nth_last(times: dict[str, int], nth: int) -> int | None:
    ordered = sorted(times.values())
    return ordered[-nth] if nth <= len(ordered) else None
