"""Runs a handler on several events as workers do: `key`, `debounce`, `rate`, `newest` and `ordered` count."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from receiver.contract.records import Labels

from ..event import Event
from ..handler import Handler
from ..ledger.units import Claim, Verdict
from ..runtime.flow_control import find_hold, find_lane
from ..runtime.foreground import LocalCounter
from ..sandbox.in_process import SandboxInProcess
from .answers import Answers, Documents
from .clock import Clock
from .lanes import LaneMemory
from .running import Result, Run, find_handler, is_wanted


def run_events(
    handler: Handler | Callable[..., Any],
    events: Sequence[Event],
    *,
    at: Sequence[float] = (),
    zyra: SandboxInProcess | None = None,
    answers: Documents | None = None,
) -> list[Result]:
    """Runs a handler on each event until it is done, dead or skipped. The results, in the order of the events.

    at: seconds at which each event comes, never falling; else all come at once. An attempt takes no time, so that
    `concurrency` makes nobody wait. An event whose key is stopped by a dead letter ends as "waiting".
    answers: see `run_handler`.
    Raises ValueError where `at` is not as long as `events`, or falls.
    """
    times: list[Any] = list(at) or [0.0] * len(events)
    if not all(isinstance(one, int | float) and one >= 0 for one in times):
        raise ValueError("at= must be seconds, none below 0")
    if len(times) != len(events) or times != sorted(times):
        raise ValueError(f"at= must have a time for each of the {len(events)} events, and never fall")
    return Workers(find_handler(handler), zyra or SandboxInProcess(pretends=True), Answers(answers)).run(events, times)


LANE_KEY = b"a lane key of tests"


class Started(msgspec.Struct, kw_only=True):
    """A run whose event has come. lane: see `find_lane`."""

    run: Run
    claim: Claim
    lane: str
    age: float | None


class Workers:
    def __init__(self, handler: Handler, api: SandboxInProcess, others: Answers) -> None:
        self._handler = handler
        self._api = api
        self._others = others
        self._clock = Clock()
        self._memory = LaneMemory(self._clock.read)
        self._counter = LocalCounter(self._clock.read)  # one for all events, as `allow` counts
        self._due: list[tuple[float, int]] = []  # seconds, and the place of the event
        self._runs: dict[int, Started] = {}
        self._results: dict[int, Result] = {}
        self._lanes: dict[str, deque[int]] = defaultdict(deque)  # of an ordered handler, runs that are open
        self._blocked: set[int] = set()

    def run(self, events: Sequence[Event], times: Sequence[float]) -> list[Result]:
        self._due = [(at, place) for place, at in enumerate(times)]
        while self._due:
            due, place = heapq.heappop(self._due)
            self._clock.now = max(self._clock.now, due)
            if place not in self._runs:
                self._accept(place, events[place])
            elif self._is_its_turn(place):
                self._attempt(place)
            else:
                self._blocked.add(place)
        return [self._results.get(place) or self._describe_waiting(place) for place in range(len(events))]

    def _accept(self, place: int, event: Event) -> None:
        if not is_wanted(self._handler, event):
            self._results[place] = Result(outcome="unwanted")
            return
        try:
            lane, age = find_lane(self._handler, event, LANE_KEY), self._handler.find_age(event)
        except Exception:  # of the author's `key`: each attempt fails, in a lane of its own
            lane, age = event.id, None
        data = event.payload.get("data") if isinstance(event.payload, dict) else None
        self._api.tell(event.type, event.resource_id, data)
        run = Run(self._handler, event, self._api, self._clock, self._others, counter=self._counter)
        self._runs[place] = Started(run=run, claim=make_claim(event, run, self._handler), lane=lane, age=age)
        if self._handler.ordered:
            self._lanes[lane].append(place)
        self._come_back(place, self._handler.delay)

    def _is_its_turn(self, place: int) -> bool:
        return not self._handler.ordered or self._lanes[self._runs[place].lane][0] == place

    def _attempt(self, place: int) -> None:
        started = self._runs[place]
        claim = msgspec.structs.replace(started.claim, attempt=started.run.attempts + 1)
        held = find_hold(self._handler, claim, started.lane, started.age, self._memory)
        if held and held.verdict is Verdict.BUSY:
            self._come_back(place, held.delay)
        elif held:
            self._end(place, msgspec.structs.replace(started.run.describe(), outcome="skipped", reason=held.error))
        elif (wait := started.run.step()) is None:
            self._end(place, started.run.describe())
        else:
            self._come_back(place, wait)

    def _come_back(self, place: int, seconds: float) -> None:
        heapq.heappush(self._due, (self._clock.now + seconds, place))

    def _end(self, place: int, result: Result) -> None:
        started, self._results[place] = self._runs[place], result
        self._memory.note_end(started.lane, started.run.name, started.age if result.outcome == "done" else None)
        if not self._handler.ordered or (result.outcome == "dead" and self._handler.stops_on_dead):
            return
        lane = self._lanes[started.lane]
        lane.popleft()
        if lane and lane[0] in self._blocked:
            self._blocked.discard(lane[0])
            self._come_back(lane[0], 0.0)

    def _describe_waiting(self, place: int) -> Result:
        return Result(outcome="waiting", reason="a dead letter stops its key")


def make_claim(event: Event, run: Run, handler: Handler) -> Claim:
    labels = Labels(id=event.id, source=event.source, type=event.type, received_at=0)
    return Claim(unit=run.name, token=1, key="", sealed=b"", labels=labels, handler=handler.name)
