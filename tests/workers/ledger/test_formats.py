"""Releases that write different formats, on one ledger: this one, and a made-up next one."""

import random
from collections import Counter

import pytest
import redis

from receiver.contract import formats
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Outcome, Verdict
from workers.monitoring.status import survey

EVENTS = 1000
SCRIPTS = ("take.lua", "alone.lua", "dispatch.lua", "finish.lua", "renew.lua", "sweep.lua", "replay.lua", "journal.lua")


class Release:
    """Receiver and worker of a release, in this process. format: of the records that it writes."""

    def __init__(self, ledger: Ledger, seal: Seal, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = Ledger(ledger.client, ledger.keys)
        self.seal = seal
        self.format = number
        self._monkeypatch = monkeypatch
        with monkeypatch.context() as patch:
            patch.setattr(formats, "FORMAT", number)
            for name in SCRIPTS:
                self.ledger._load_script(name)

    def accept(self) -> str:
        with self._monkeypatch.context() as patch:
            patch.setattr(formats, "FORMAT", self.format)
            return accept(self.ledger, self.seal)

    def read_format(self, claim: Claim) -> int:
        """The highest format among the records that the claim is of."""
        keys, client = self.ledger.keys, self.ledger.client
        found = client.hget(keys.event(claim.event), "format"), client.hget(keys.run(claim.unit), "format")
        return max(int(number or 1) for number in found)

    def work(self, draw: random.Random, done: Counter[str]) -> int:
        """Takes some units and brings each to one of its ends. Returns how many were taken."""
        claims = self.ledger.take([], draw.randint(1, 10))
        for claim in claims:
            assert self.read_format(claim) <= self.format
            if not claim.handler:
                self._dispatch(claim, draw)
            else:
                self._run(claim, draw, done)
        return len(claims)

    def _dispatch(self, claim: Claim, draw: random.Random) -> None:
        fate = draw.random()
        if fate < 0.1:
            self.ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.HANDED)])
        elif fate < 0.2:
            dispatch(self.ledger, claim, "parked", "unknown-seal-key")
        elif fate < 0.25:
            dispatch(self.ledger, claim, "dead", "altered")
        else:
            dispatch(self.ledger, claim, "dispatched", "", ["a", "b"][: draw.randint(1, 2)])

    def _run(self, claim: Claim, draw: random.Random, done: Counter[str]) -> None:
        verdict = draw.choice([Verdict.DONE] * 4 + [Verdict.FAILED, Verdict.LATER, Verdict.BUSY, Verdict.HANDED])
        outcome = Outcome(unit=claim.unit, token=claim.token, verdict=verdict, delay=60.0)
        (answer,) = self.ledger.finish([outcome])
        assert answer == verdict
        done[claim.unit] += verdict is Verdict.DONE

    def sweep(self) -> None:
        """Sweeps as if the time of all that waits had come."""
        for name in ("parked", "waiting"):
            units = self.ledger.client.zrange(self.ledger.keys.name(name), 0, -1)
            if units:
                self.ledger.client.zadd(self.ledger.keys.name(name), dict.fromkeys(units, 1))
        self.ledger.sweep()


@pytest.fixture
def releases(ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> tuple[Release, Release]:
    return Release(ledger, seal, 1, monkeypatch), Release(ledger, seal, 2, monkeypatch)


def finish_all(workers: tuple[Release, ...], draw: random.Random, done: Counter[str], events: list[str]) -> None:
    """Works until no event is open; a dead one is replayed."""
    client, keys = workers[0].ledger.client, workers[0].ledger.keys
    for _ in range(100 * len(events)):
        worker = draw.choice(workers)
        if not worker.work(draw, done):
            worker.sweep()
            for event in client.zrange(keys.name("dead"), 0, -1):
                workers[-1].ledger.replay(event.decode())
        if client.zcard(keys.name("final")) == len(events):
            return
    raise AssertionError("some events never end")


@pytest.mark.parametrize(
    "workers", [(0, 1), (1, 0), (1,)], ids=["both", "both, the later one replays", "the later one"]
)
def test_a_mixed_fleet_loses_and_doubles_nothing(
    releases: tuple[Release, Release], client: redis.Redis, keys: Keys, workers: tuple[int, ...]
) -> None:
    """Receivers of both releases accept; workers take, hand back, park, fail, put off, replay and end, at random."""
    draw, done = random.Random(18), Counter[str]()
    events = [draw.choice(releases).accept() for _ in range(EVENTS)]

    for _ in range(200):  # a worker of this release meets every state first
        releases[0].work(draw, done)
    finish_all(tuple(releases[number] for number in workers), draw, done, events)

    suffixes = {event: client.hget(keys.event(event), "runs").decode().split(",") for event in events}
    runs = [f"{event}-{suffix}" for event in events for suffix in suffixes[event]]
    assert {client.hget(keys.event(event), "state") for event in events} == {b"done"}
    assert {run: done[run] for run in runs} == dict.fromkeys(runs, 1)
    assert sum(done.values()) == len(runs)


def test_what_a_later_release_wrote_waits_for_one_of_its_workers(
    releases: tuple[Release, Release], client: redis.Redis, keys: Keys
) -> None:
    ours, later = releases
    events = [later.accept() for _ in range(3)] + [ours.accept()]

    claims = [claim.unit for claim in ours.ledger.take([], 10)]
    ours.sweep()

    assert claims == events[3:]
    assert ours.ledger.take([], 10) == []
    assert {event.decode() for event in client.zrange(keys.name("later"), 0, -1)} == set(events[:3])
    assert [(one.what, one.count) for one in survey(ours.ledger).stuck if "later" in one.what] == [
        ("written by a later release", 3)
    ]
    later.sweep()
    assert {claim.unit for claim in later.ledger.take([], 10)} == set(events[:3])


def test_a_run_whose_journal_a_later_release_wrote_is_left_to_it(releases: tuple[Release, Release]) -> None:
    ours, later = releases
    ours.accept()
    dispatch(ours.ledger, ours.ledger.take([], 1)[0], "dispatched", "", ["a"])
    (run,) = later.ledger.take([], 1)

    assert later.ledger.call("journal.lua", "begin", run.unit, run.token, 1, b"sealed") == 1
    later.ledger.finish([Outcome(unit=run.unit, token=run.token, verdict=Verdict.HANDED)])

    assert ours.ledger.take([], 1) == []


def test_a_ledger_has_a_number_from_its_first_event_on(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    evidence = [ledger.keys.name("ordinal"), ledger.keys.name("format")]
    assert client.mget(evidence) == [None, None]

    accept(ledger, seal)

    assert client.mget(evidence) == [b"1", b"1"]


def test_a_sweep_gives_a_number_back_that_is_none(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    accept(ledger, seal)
    client.delete(ledger.keys.name("format"))
    client.lpush(ledger.keys.name("format"), "ours no more")

    ledger.sweep()

    assert client.get(ledger.keys.name("format")) == b"1"
