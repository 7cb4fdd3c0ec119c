"""Flow control in memory against the scripts: the same answers, whatever is asked and whenever."""

import random
from typing import Any

import pytest

from receiver.contract.keys import make_event_id, make_run_id
from receiver.contract.scripts import build_arguments
from workers.ledger.composition import compose_transition
from workers.ledger.transitions import Ledger
from workers.testing.clock import Clock
from workers.testing.lanes import LaneMemory

CLOCK = "redis.call('TIME')"


class Both:
    """Asks both, at the same time of a clock that is ours."""

    def __init__(self, ledger: Ledger) -> None:
        self.clock = Clock()
        self.memory = LaneMemory(self.clock.read)
        self._ledger = ledger
        self.clock.now = 1_800_000_000.0

    def plan(self, lane: str, most: int, seconds: float, attempt: str) -> tuple[float, float]:
        answer = self._call("rate.lua", lane, most, int(seconds * 1000), attempt)
        return int(answer) / 1000, self.memory.plan_start(lane, most, seconds, attempt)

    def settle(self, lane: str, run: str, newest: bool) -> tuple[tuple[float, str], tuple[float, str]]:
        self._ledger.client.hsetnx(self._ledger.keys.run(run), "state", "running")
        answer = self._call("debounce.lua", lane, run, 5000, 20000, int(newest))
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        script = (0.0, text) if text.startswith("evt_") else (int(text) / 1000, "")
        return script, self.memory.settle_debounce(lane, run, 5.0, 20.0, newest)

    def end(self, lane: str, run: str) -> None:
        self._ledger.client.hset(self._ledger.keys.run(run), "state", "discarded")
        self.memory.note_end(lane, run, None)

    def _call(self, name: str, *values: str | int) -> Any:
        seconds, milliseconds = divmod(round(self.clock.now * 1000), 1000)
        moment = f"{{{seconds}, {1000 * milliseconds}}}"
        script = compose_transition(name)
        assert script.count(CLOCK) == 1
        return self._ledger.client.eval(script.replace(CLOCK, moment), *build_arguments(self._ledger.keys, *values))


@pytest.fixture
def both(ledger: Ledger) -> Both:
    return Both(ledger)


@pytest.mark.parametrize("seed", range(4))
def test_rates_are_those_of_the_script(both: Both, seed: int) -> None:
    draw, waiting = random.Random(seed), list[str]()

    for number in range(200):
        both.clock.advance(round(draw.choice([0.0, 0.001, 1.0, 7.3]), 3))
        attempt = draw.choice([*waiting, f"run {number}"])
        script, memory = both.plan("a", 3, 20, attempt)
        assert script == memory
        waiting = [one for one in waiting if one != attempt] + ([attempt] if script else [])


@pytest.mark.parametrize("seed", range(8))
def test_debounce_is_that_of_the_script(both: Both, seed: int) -> None:
    draw, runs = random.Random(seed), list[str]()

    for _ in range(200):
        both.clock.advance(round(draw.choice([0.001, 1.0, 4.0, 5.0]), 3))
        if draw.random() < 0.5 or not runs:
            runs.append(make_run_id(make_event_id(int(both.clock.now * 1000)), "a"))
        run = draw.choice(runs[-4:])
        if draw.random() < 0.05:
            both.end("a", run)
            runs.remove(run)
            continue
        script, memory = both.settle("a", run, newest=seed % 2 == 0)
        assert script == memory
