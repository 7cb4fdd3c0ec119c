"""The states of docs/architecture.md against the scripts: what a long random walk sees is what is drawn, no more, no less."""

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver.contract.connection import decode_text
from receiver.contract.keys import Keys, hash_handler
from receiver.contract.records import EventState, RunState
from receiver.contract.seal import Seal
from tests.support.kit import accept, make_runs
from workers.ledger import transitions
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Decision, Outcome, Verdict

PAGE = Path(__file__).parents[3] / "docs/architecture.md"
Change = tuple[str, str, str, str]  # event or run, the state before and after it ("-": no record), the script
ROW = re.compile(r"^\| (event|run) \| ([a-z-]+) \| ([a-z-]+) \| ([a-z, ]+) \|$", re.MULTILINE)
KEEP_SECONDS = 0.1  # of finished events
MAX_EVENTS = 8  # alive at once: few, so that the same ones meet many fates


class Watched(Ledger):
    """A ledger that notes which script changed the state of which record."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.seen: set[Change] = set()
        self.states: dict[str, str] = {}

    def call(self, name: str, *values: str | bytes | int | float) -> Any:
        answer = super().call(name, *values)
        self.note(name.removesuffix(".lua"))
        return answer

    def note(self, script: str) -> None:
        before, self.states = self.states, dict(self._read_states())
        for key in before.keys() | self.states.keys():
            change = before.get(key, "-"), self.states.get(key, "-")
            if change[0] != change[1]:
                self.seen.add((key.removeprefix(self.keys.prefix).partition(":")[0], *change, script))

    def _read_states(self) -> Iterator[tuple[str, str]]:
        names = [key for kind in ("event", "run") for key in self.client.scan_iter(f"{self.keys.prefix}{kind}:*")]
        with self.client.pipeline(transaction=False) as pipe:
            for key in names:
                pipe.hget(key, "state")
            yield from (
                (decode_text(key), decode_text(state))
                for key, state in zip(names, pipe.execute(), strict=True)
                if state
            )


def dispatch(ledger: Ledger, claim: Claim, draw: random.Random) -> None:
    if draw.random() < 0.1:
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.HANDED)])
        return
    verdict = draw.choice(["dispatched"] * 6 + ["unhandled", "unreadable", "dead", "parked"])
    handlers = ("a", "b")[: draw.choice([1, 1, 2])] if verdict == "dispatched" else ()
    begins = draw.choice(["", "a"]) if handlers else ""
    lane = draw.choice(["", "a:1", "a:2"]) if handlers == ("a",) else ""
    ledger.finish_dispatches(
        [Decision(unit=claim.unit, token=claim.token, verdict=verdict, runs=make_runs(handlers, begins, lane=lane))],
        draw_lease(draw),
    )


def run(ledger: Ledger, claim: Claim, draw: random.Random) -> None:
    if claim.suspect and draw.random() < 0.5:
        ledger.claim_alone(claim.unit, claim.token)
    if draw.random() < 0.8:
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=draw.choice(list(Verdict)))])


def draw_lease(draw: random.Random) -> float:
    return draw.choice([15.0, 0.001])


def walk(ledger: Watched, seal: Seal, seed: int, steps: int) -> None:
    draw, held = random.Random(seed), list[Claim]()

    def choose_event() -> str:
        events = [key.partition("event:")[2] for key in sorted(ledger.states) if ":event:" in key]
        return draw.choice(events) if events else "evt_" + "0" * 26

    def take() -> None:
        held.extend(ledger.take([], 2, draw_lease(draw)))

    def end() -> None:
        if held:
            claim = held.pop(draw.randrange(len(held)))
            (run if claim.handler else dispatch)(ledger, claim, draw)

    def make() -> None:
        if sum(":event:" in key for key in ledger.states) < MAX_EVENTS:
            accept(ledger, seal)
            ledger.note("accept")

    def pause() -> None:
        ledger.pause("a") if draw.random() < 0.3 else ledger.resume("a")

    acts: list[Callable[[], object]] = [
        *[take] * 3, *[end] * 3, make, pause, ledger.sweep, lambda: ledger.replay(choose_event(), again=draw.random() < 0.5),
        lambda: ledger.discard(choose_event(), reason="") if draw.random() < 0.3 else None,
    ]  # fmt: skip
    for _ in range(steps):
        draw.choice(acts)()


def meet_every_fate(ledger: Watched, seal: Seal) -> None:
    """Every change that is drawn, one after the other: none is left to chance."""

    def make(verdict: str, *handlers: str, begins: str = "") -> str:
        event = accept(ledger, seal)
        ledger.note("accept")
        decide(verdict, *handlers, begins=begins)
        return event

    def decide(verdict: str, *handlers: str, begins: str = "", count: int = 1) -> None:
        for claim in ledger.take([], count):
            decision = Decision(unit=claim.unit, token=claim.token, verdict=verdict, runs=make_runs(handlers, begins))
            ledger.finish_dispatches([decision])

    def end(verdict: Verdict, delay: float = 0.0) -> None:
        (claim,) = ledger.take([], 1)
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict, delay=delay)])

    def lose_leases(alone: bool) -> None:
        for _ in range(3):
            (claim,) = ledger.take([], 1)
            if alone:
                ledger.claim_alone(claim.unit, claim.token)
            ledger.renew([claim.ticket], lease=0)
            time.sleep(0.002)
            ledger.sweep()

    make("dispatched", "a")
    lose_leases(alone=True)  # quarantined
    accept(ledger, seal)
    ledger.note("accept")
    lose_leases(alone=False)  # its dispatch died

    event = make("dispatched", "a", "b")
    end(Verdict.DEAD)
    ledger.discard(event, reason="")  # one of two runs
    end(Verdict.DONE)
    ledger.replay(event, again=True)
    end(Verdict.DONE)
    end(Verdict.DONE)

    for verdict in (Verdict.DONE, Verdict.SKIPPED):
        event = make("dispatched", "a")
        end(verdict)
        ledger.replay(event, again=True)
        end(verdict)

    accept(ledger, seal)
    ledger.note("accept")
    for _ in range(3):
        end(Verdict.DIED)  # the dispatch

    for _ in range(2):
        accept(ledger, seal)
        ledger.note("accept")
    decide("dispatched", "a", count=2)
    holder, other = ledger.take([], 2)
    ledger.take_place("a", 1, holder.unit)
    ledger.finish([Outcome(unit=other.unit, token=1, verdict=Verdict.BUSY, delay=3600, slot="a", places=1)])
    ledger.finish([Outcome(unit=holder.unit, token=1, verdict=Verdict.DONE, slot="a")])  # wakes the other
    end(Verdict.DONE)

    accept(ledger, seal)
    ledger.note("accept")
    (claim,) = ledger.take([], 1)
    late = make_runs(["a"], delay_ms=1)
    ledger.finish_dispatches([Decision(unit=claim.unit, token=claim.token, verdict="dispatched", runs=late)])
    time.sleep(0.002)
    ledger.sweep()
    end(Verdict.DONE)

    meet_fates_of_a_lane(ledger, seal)
    meet_fates_of_a_hook(ledger, seal)

    event = make("dispatched", "a")
    end(Verdict.MISSING, delay=3600)
    ledger.discard(event, reason="")
    event = make("dispatched", "a")
    ledger.pause("a")
    ledger.take([], 1)
    ledger.discard(event, reason="")
    ledger.resume("a")

    for verdict in (Verdict.DEAD, Verdict.REFUSED):
        event = make("dispatched", "a")
        end(verdict)
        ledger.replay(event)
        end(verdict)
        ledger.discard(event, reason="")  # what this leaves expires below

    event = make("dispatched", "a", begins="a")
    ledger.finish([Outcome(unit=f"{event}-{hash_handler('a')}", token=1, verdict=Verdict.HANDED)])
    end(Verdict.FAILED, delay=3600)
    ledger.replay(event)
    end(Verdict.FAILED)
    time.sleep(0.002)
    ledger.sweep()
    end(Verdict.DONE)

    ledger.pause("a")
    for _ in range(2):
        make("dispatched", "a")
        ledger.take([], 1)
    ledger.client.hdel(ledger.keys.name("pauses"), "a")  # a resume that was cut short
    ledger.sweep()
    ledger.pause("a")
    ledger.take([], 2)
    ledger.resume("a")
    end(Verdict.DONE)
    end(Verdict.DONE)

    event = make("dead")
    ledger.discard(event, reason="")
    ledger.replay(event, again=True)
    decide("dead")
    ledger.replay(event)
    decide("unhandled")
    ledger.replay(event)
    decide("unreadable")
    ledger.replay(event)
    decide("dead")
    ledger.discard(event, reason="")
    make("unhandled")
    make("unreadable")


def meet_fates_of_a_lane(ledger: Watched, seal: Seal) -> None:
    def decide(claim: Claim, verdict: str = "dispatched") -> None:
        runs = make_runs(["a"], lane="a:k", holds=True) if verdict == "dispatched" else ()
        ledger.finish_dispatches([Decision(unit=claim.unit, token=claim.token, verdict=verdict, runs=runs)])

    def end(verdict: Verdict) -> str:
        (claim,) = ledger.take([], 5)
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict)])
        return claim.event

    for _ in range(2):
        accept(ledger, seal)
        ledger.note("accept")
    first, second = ledger.take([], 2)
    decide(second)
    decide(first, "unhandled")  # the second may start now
    end(Verdict.DONE)

    for _ in range(3):
        accept(ledger, seal)
        ledger.note("accept")
    for claim in ledger.take([], 3):
        decide(claim)
    stopped = end(Verdict.DEAD)
    ledger.discard(stopped, reason="")  # the second may start now
    (claim,) = ledger.take([], 5)
    ledger.replay(stopped, again=True)
    ledger.take([], 5)  # it is not its turn
    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE)])
    end(Verdict.DONE)
    end(Verdict.DONE)


def meet_fates_of_a_hook(ledger: Watched, seal: Seal) -> None:
    def begin(*handlers: str) -> str:
        event = accept(ledger, seal)
        ledger.note("accept")
        (claim,) = ledger.take([], 1)
        runs = make_runs(handlers, hook=f"{hash_handler('page')} page")
        ledger.finish_dispatches([Decision(unit=claim.unit, token=claim.token, verdict="dispatched", runs=runs)])
        return event

    def end(claim: Claim, verdict: Verdict) -> None:
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict)])

    for verdict in (Verdict.DONE, Verdict.DEAD):
        event = begin("a", "b")
        first, second = ledger.take([], 2)
        end(first, Verdict.DEAD)
        end(ledger.take([], 1)[0], verdict)
        end(second, Verdict.DEAD)  # it runs again
        end(ledger.take([], 1)[0], Verdict.DONE)
        ledger.discard(event, reason="")
    event = begin("a")
    for _ in range(3):
        (claim,) = ledger.take([], 1)
        ledger.claim_alone(*claim.ticket)
        ledger.renew([claim.ticket], lease=0)
        time.sleep(0.002)
        ledger.sweep()
    end(ledger.take([], 1)[0], Verdict.DONE)
    ledger.discard(event, reason="")


def watch(own_ledger: Ledger, keys: Keys, live: Callable[[Watched], None]) -> set[Change]:
    """What a ledger saw that lived so, to the expiry of all that was final."""
    ledger = Watched(own_ledger.client, keys, own_ledger.seal, KEEP_SECONDS)
    live(ledger)
    time.sleep(2 * KEEP_SECONDS)
    ledger.sweep()
    own_ledger.client.flushall()
    return ledger.seen


def drawn() -> set[Change]:
    return {
        (kind, before, after, script.strip())
        for kind, before, after, scripts in ROW.findall(PAGE.read_text())
        for script in scripts.split(",")
    }


def test_the_drawing_knows_every_state() -> None:
    states = {(kind, state) for kind, before, after, _ in drawn() for state in (before, after) if state != "-"}

    assert states == {*(("event", one.value) for one in EventState), *(("run", one.value) for one in RunState)}


def test_every_change_that_is_drawn_happens(keys: Keys, seal: Seal, own_ledger: Ledger) -> None:
    assert watch(own_ledger, keys, lambda ledger: meet_every_fate(ledger, seal)) == drawn()


@pytest.mark.parametrize("seed", range(1, 12))
def test_nothing_happens_that_is_not_drawn(
    keys: Keys, seal: Seal, own_ledger: Ledger, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(transitions, "PARKED_MS", 1)

    seen = watch(own_ledger, keys, lambda ledger: walk(ledger, seal, seed, 600))

    assert seen <= drawn()
    assert len(seen) > 8, "a walk that does nothing proves nothing"
