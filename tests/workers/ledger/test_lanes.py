"""Lanes: the runs of an ordered handler's key start one after the other, in the order of acceptance."""

import random
import secrets
import time
from collections import defaultdict
from typing import Any

import pytest

from receiver.contract.connection import decode_text
from receiver.contract.errors import UnknownKey
from receiver.contract.keys import make_run_id, read_event_id
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from receiver.contract.survey import survey
from tests.support.kit import Tool, accept, make_runs
from workers import Event, Router
from workers.ledger import archive
from workers.ledger.lane_key import load_lane_key
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Decision, Outcome, Verdict
from workers.runtime.attempt import prepare
from workers.runtime.dispatch import plan, record
from workers.runtime.dispatcher import Dispatcher

LANE = "a:k"


def finish_dispatch(ledger: Ledger, *claims: Claim, lane: str = LANE, begins: str = "", **more: Any) -> list[str]:
    """The runs that begin at once."""
    decisions = [
        Decision(unit=one.unit, token=one.token, verdict="dispatched", runs=make_runs(["a"], begins, lane=lane, **more))
        for one in claims
    ]
    return [run for _, *runs in ledger.finish_dispatches(decisions) for run in runs]


def accept_in_order(ledger: Ledger, seal: Seal, count: int, **more: Any) -> list[str]:
    """Events of one lane that are dispatched; their ids."""
    events = [accept(ledger, seal) for _ in range(count)]
    finish_dispatch(ledger, *ledger.take([], count), **more)
    return events


def end(ledger: Ledger, claim: Claim, verdict: Verdict = Verdict.DONE, delay: float = 0.0) -> str:
    return ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict, delay=delay)])[0]


def take_events(ledger: Ledger) -> list[str]:
    """The events whose runs are ours now."""
    return [claim.event for claim in ledger.take([], 100)]


def lose_lease(ledger: Ledger, claim: Claim) -> None:
    ledger.renew([claim.ticket], lease=0)
    time.sleep(0.002)
    ledger.sweep()


def test_runs_of_a_lane_start_one_after_the_other(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 5)
    started = []

    while claims := ledger.take([], 10):
        (claim,) = claims
        started.append(claim.event)
        end(ledger, claim)

    assert started == events


def test_runs_of_other_lanes_do_not_wait(ledger: Ledger, seal: Seal) -> None:
    events = [accept(ledger, seal) for _ in range(3)]
    for claim, lane in zip(ledger.take([], 3), ("a:1", "a:2", "a:1"), strict=True):
        finish_dispatch(ledger, claim, lane=lane)

    assert take_events(ledger) == events[:2]


def test_a_run_waits_for_the_dispatch_of_earlier_events(ledger: Ledger, seal: Seal) -> None:
    events = [accept(ledger, seal) for _ in range(3)]
    first, second, third = ledger.take([], 3)

    finish_dispatch(ledger, third)
    finish_dispatch(ledger, second)

    assert take_events(ledger) == []
    finish_dispatch(ledger, first)
    assert take_events(ledger) == events[:1]


def test_it_does_not_wait_for_events_that_are_accepted_later(ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    accept(ledger, seal)

    assert finish_dispatch(ledger, claim, begins="a") == [make_run_id(event, "a")]


def test_it_waits_for_an_earlier_event_that_nobody_claimed_yet(ledger: Ledger, seal: Seal) -> None:
    """As after a crash: the entry of the earlier event is at the end of the queue."""
    early, late = accept(ledger, seal), accept(ledger, seal)
    ledger.client.rpoplpush(ledger.keys.jobs, ledger.keys.jobs)
    (claim,) = ledger.take([], 1)
    assert claim.unit == late
    assert finish_dispatch(ledger, claim, begins="a") == []

    (claim,) = ledger.take([], 1)
    assert claim.unit == early
    assert finish_dispatch(ledger, claim, begins="a") == [make_run_id(early, "a")]


@pytest.mark.parametrize("lost", ["lease", "handed", "entry"])
def test_an_event_keeps_its_order_when_its_dispatch_is_repeated(ledger: Ledger, seal: Seal, lost: str) -> None:
    events = [accept(ledger, seal) for _ in range(2)]
    if lost == "entry":
        ledger.client.lpop(ledger.keys.jobs)
        ledger.sweep(lost_after=0)
        time.sleep(0.002)
        ledger.sweep(lost_after=0)
        claims = sorted(ledger.take([], 2), key=lambda one: one.unit)
        finish_dispatch(ledger, claims[1])
    else:
        first, second = ledger.take([], 2)
        lose_lease(ledger, first) if lost == "lease" else end(ledger, first, Verdict.HANDED)
        finish_dispatch(ledger, second)
        claims = [one for one in ledger.take([], 2) if not one.handler]
    assert take_events(ledger) == []

    finish_dispatch(ledger, claims[0])

    (run,) = ledger.take([], 5)
    assert run.event == events[0]
    end(ledger, run)
    assert take_events(ledger) == events[1:]


def test_events_of_one_batch_begin_in_order_whatever_their_place_in_it(ledger: Ledger, seal: Seal) -> None:
    events = [accept(ledger, seal) for _ in range(3)]
    claims = ledger.take([], 3)

    begun = finish_dispatch(ledger, *reversed(claims), begins="a")

    assert begun == [make_run_id(events[0], "a")]


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.LATER, Verdict.MISSING, Verdict.BUSY, Verdict.HANDED])
def test_a_run_that_comes_back_holds_its_lane(ledger: Ledger, seal: Seal, verdict: Verdict) -> None:
    events = accept_in_order(ledger, seal, 2)
    (claim,) = ledger.take([], 2)
    end(ledger, claim, verdict, delay=0.001)
    time.sleep(0.002)
    ledger.sweep()

    (claim,) = ledger.take([], 2)

    assert claim.event == events[0]
    end(ledger, claim)
    assert take_events(ledger) == events[1:]


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.DEAD, Verdict.REFUSED, Verdict.SKIPPED])
def test_the_next_run_of_the_lane_follows_each_end(ledger: Ledger, seal: Seal, verdict: Verdict) -> None:
    events = accept_in_order(ledger, seal, 2)
    (claim,) = ledger.take([], 2)

    end(ledger, claim, verdict)

    assert take_events(ledger) == events[1:]


def test_a_lost_lease_holds_the_lane_and_a_quarantine_frees_it(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2)

    for _ in range(3):
        (claim,) = ledger.take([], 2)
        assert claim.event == events[0]
        ledger.claim_alone(*claim.ticket)
        lose_lease(ledger, claim)

    assert take_events(ledger) == events[1:]


def test_a_dead_letter_stops_its_lane_where_that_is_asked_for(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 3, holds=True)
    (claim,) = ledger.take([], 3)

    end(ledger, claim, Verdict.DEAD)

    assert take_events(ledger) == []
    (trouble,) = [one for one in survey(ledger.client, ledger.keys).stuck if "wait behind" in one.what]
    assert (trouble.what, trouble.count) == ("a: later events of a key wait behind its dead letter", 1)
    assert events[0] in trouble.do


def test_a_stopped_lane_goes_on_where_it_stopped_when_its_dead_letter_is_replayed(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2, holds=True)
    (claim,) = ledger.take([], 3)
    end(ledger, claim, Verdict.DEAD)

    ledger.replay(events[0])

    (claim,) = ledger.take([], 3)
    assert claim.event == events[0]
    assert not survey(ledger.client, ledger.keys).stuck
    end(ledger, claim)
    assert take_events(ledger) == events[1:]


@pytest.mark.parametrize("quarantined", [False, True])
def test_a_stopped_lane_goes_on_when_its_dead_letter_is_discarded(
    ledger: Ledger, seal: Seal, quarantined: bool
) -> None:
    events = accept_in_order(ledger, seal, 2, holds=True)
    (claim,) = ledger.take([], 3)
    if quarantined:
        for _ in range(2):
            ledger.claim_alone(*claim.ticket)
            lose_lease(ledger, claim)
            (claim,) = ledger.take([], 3)
        ledger.claim_alone(*claim.ticket)
        lose_lease(ledger, claim)
    else:
        end(ledger, claim, Verdict.DEAD)
    assert take_events(ledger) == []

    ledger.discard(events[0], reason="it is of no use")

    assert take_events(ledger) == events[1:]
    assert ledger.client.zcard(ledger.keys.name("stopped")) == 0


def test_a_stopped_lane_goes_on_when_its_event_is_erased(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2, holds=True)
    (claim,) = ledger.take([], 3)
    end(ledger, claim, Verdict.DEAD)

    assert ledger.erase(events[0]) == "erased"

    assert take_events(ledger) == events[1:]


def test_a_replayed_run_is_the_last_of_its_lane(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 3)
    (claim,) = ledger.take([], 3)
    end(ledger, claim, Verdict.DEAD)

    ledger.replay(events[0])

    started = []
    while claims := ledger.take([], 5):
        (claim,) = claims
        started.append(claim.event)
        end(ledger, claim)
    assert started == [events[1], events[2], events[0]]


def test_a_run_that_waits_for_its_turn_can_be_discarded(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 3)
    (claim,) = ledger.take([], 3)

    assert ledger.discard(events[1], reason="not wanted any more") == ("discarded", 1)

    end(ledger, claim)
    assert take_events(ledger) == events[2:]


def test_runs_of_a_paused_handler_keep_their_order(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 3)
    ledger.pause("a")
    assert take_events(ledger) == []
    ledger.resume("a")

    started = []
    while claims := ledger.take([], 5):
        (claim,) = claims
        started.append(claim.event)
        end(ledger, claim)
    assert started == events


def test_a_delay_holds_the_lane(ledger: Ledger, seal: Seal) -> None:
    first = accept(ledger, seal)
    finish_dispatch(ledger, *ledger.take([], 1), delay_ms=30)
    second = accept(ledger, seal)
    finish_dispatch(ledger, *ledger.take([], 1))
    assert take_events(ledger) == []

    time.sleep(0.04)
    ledger.sweep()

    (claim,) = ledger.take([], 5)
    assert claim.event == first
    end(ledger, claim)
    assert take_events(ledger) == [second]


def test_a_run_whose_lane_was_not_known_joins_it_at_its_end(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 1)
    late = accept(ledger, seal)
    first, claim = sorted(ledger.take([], 5), key=lambda one: not one.handler)
    finish_dispatch(ledger, claim, lane="")
    (unknown,) = ledger.take([], 5)

    ledger.join_lane(unknown.ticket, LANE, holds=False)
    end(ledger, unknown, Verdict.HANDED)

    assert take_events(ledger) == []
    end(ledger, first)
    assert (first.event, take_events(ledger)) == (events[0], [late])


def test_only_the_owner_of_a_run_says_its_lane(ledger: Ledger, seal: Seal) -> None:
    accept_in_order(ledger, seal, 1, lane="")
    (claim,) = ledger.take([], 5)

    ledger.join_lane((claim.unit, claim.token + 1), LANE, holds=False)

    assert ledger.client.hget(ledger.keys.run(claim.unit), "lane") is None


def test_what_is_none_of_ours_holds_nobody_up(ledger: Ledger, seal: Seal) -> None:
    client, keys = ledger.client, ledger.keys
    client.zadd(keys.name("undispatched"), {"foreign": 0, "evt_" + "0" * 26: 0})
    client.zadd(keys.name(f"lane:{LANE}"), {"foreign": 0})
    client.set(keys.name("lane:a:other"), "foreign")
    events = [accept(ledger, seal) for _ in range(2)]
    for claim, lane in zip(ledger.take([], 2), (LANE, "a:other"), strict=True):
        finish_dispatch(ledger, claim, lane=lane)
    assert take_events(ledger) == []

    ledger.sweep()

    assert sorted(take_events(ledger)) == events


def test_a_run_that_nobody_woke_is_found_by_the_sweep(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2)
    (claim,) = ledger.take([], 2)
    ledger.client.zrem(ledger.keys.name(f"lane:{LANE}"), claim.unit)  # a fault: nobody leaves the lane in order
    ledger.client.delete(ledger.keys.run(claim.unit))

    ledger.sweep()

    assert take_events(ledger) == events[1:]


def test_a_late_run_does_not_start_beside_one_that_has_begun(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal)
    finish_dispatch(ledger, *ledger.take([], 1), lane="")
    accept(ledger, seal)
    (late, claim) = sorted(ledger.take([], 2), key=lambda one: not one.handler)
    assert finish_dispatch(ledger, claim, begins="a")

    ledger.join_lane(late.ticket, LANE, holds=False)
    end(ledger, late, Verdict.HANDED)

    assert take_events(ledger) == []


@pytest.mark.parametrize("gone", ["while it waits", "while it runs"])
def test_a_key_goes_on_where_the_event_of_its_first_run_is_gone(ledger: Ledger, seal: Seal, gone: str) -> None:
    first, second = accept_in_order(ledger, seal, 2)
    if gone == "while it runs":
        (claim,) = ledger.take([], 1)
        ledger.client.delete(ledger.keys.event(first))
        lose_lease(ledger, claim)
    else:
        ledger.client.delete(ledger.keys.event(first))

    started = []
    for _ in range(5):
        ledger.sweep()
        started += take_events(ledger)
    assert started == [second]


def test_a_first_run_that_waits_for_a_retry_can_be_discarded(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2)
    (claim,) = ledger.take([], 2)
    end(ledger, claim, Verdict.LATER, delay=86400)

    ledger.discard(events[0], reason="it would wait for a day")

    assert take_events(ledger) == events[1:]


def test_a_stop_survives_a_restore(ledger: Ledger, seal: Seal) -> None:
    events = accept_in_order(ledger, seal, 2, holds=True)
    (claim,) = ledger.take([], 3)
    end(ledger, claim, Verdict.DEAD)
    lines = list(archive.write_archive(ledger, seal, events, False))
    ledger.client.flushall()

    for line in list(archive.read_archive(lines))[1:]:
        archive.restore(ledger, seal, line)

    assert take_events(ledger) == []
    assert ledger.client.zcard(ledger.keys.name("stopped")) == 1
    ledger.discard(events[0], reason="it is of no use")
    assert take_events(ledger) == events[1:]


@pytest.mark.parametrize("record", ["gone", "foreign"])
def test_a_stop_whose_record_is_none_of_ours_stops_nothing(ledger: Ledger, seal: Seal, record: str) -> None:
    accept_in_order(ledger, seal, 1, holds=True)
    (claim,) = ledger.take([], 3)
    end(ledger, claim, Verdict.DEAD)
    ledger.client.delete(ledger.keys.run(claim.unit))
    if record == "foreign":
        ledger.client.set(ledger.keys.run(claim.unit), "foreign")

    assert "wait behind" not in str(survey(ledger.client, ledger.keys).stuck)
    ledger.sweep()
    assert ledger.client.zcard(ledger.keys.name("stopped")) == 0


ROUTER = Router()


@ROUTER.on("virtual_server.*", key="data.id", ordered=True, on_dead="stop", name="a")
def store(event: Event) -> None: ...


@ROUTER.on("virtual_server.*", when=lambda event: False, name="unwanted")
def unwanted(event: Event) -> None: ...


def dispatch_claim(ledger: Ledger, seal: Seal, claim: Claim) -> None:
    record([plan(claim, ROUTER, seal, lane_key=ledger.lane_key)], ledger, 0.0)


def test_a_path_keeps_the_order_of_an_event_whose_dispatch_died(ledger: Ledger, seal: Seal) -> None:
    events = [accept(ledger, seal, b'{"data": {"id": "x"}}') for _ in range(2)]
    first, second = ledger.take([], 2)
    dispatch_claim(ledger, seal, second)
    lose_lease(ledger, first)
    (first,) = [one for one in ledger.take([], 2) if not one.handler]
    assert first.suspect

    dispatch_claim(ledger, seal, first)

    assert set(take_events(ledger)) == {events[0]}


def test_a_lane_keeps_its_name_when_the_key_changes(ledger: Ledger) -> None:
    old, new = secrets.token_hex(32), secrets.token_hex(32)
    for values in (old, f"{new},{old}", new):
        seal = Seal(Secret("SEAL_KEY", values, None))
        own = Ledger(ledger.client, ledger.keys, seal)
        accept(own, seal, b'{"data": {"id": "x"}}')
        (claim,) = own.take([], 1)
        dispatch_claim(own, seal, claim)

    assert len(list(ledger.client.scan_iter(ledger.keys.name("lane:*")))) == 1


@pytest.mark.parametrize("opened", [False, True])
def test_an_archive_keeps_the_names_of_lanes(ledger: Ledger, seal: Seal, opened: bool) -> None:
    lane_key = load_lane_key(ledger.client, ledger.keys, seal)
    head, *_ = archive.read_archive(list(archive.write_archive(ledger, seal, [], opened)))
    ledger.client.flushall()

    archive.restore_lane_key(ledger, seal, head)
    assert load_lane_key(ledger.client, ledger.keys, seal) == lane_key

    ledger.client.flushall()
    archive.restore_lane_key(ledger, seal, {key: value for key, value in head.items() if key != "lane_key"})
    assert load_lane_key(ledger.client, ledger.keys, seal) != lane_key


def test_a_lane_key_that_is_none_of_ours_is_made_anew(ledger: Ledger, seal: Seal) -> None:
    name = ledger.keys.name("lane_key")
    sealed = bytes(seal.wrap("other", b"x" * 32))
    for foreign in (b"", sealed):
        ledger.client.set(name, foreign)
        if foreign == b"":
            with pytest.raises(UnknownKey):
                load_lane_key(ledger.client, ledger.keys, seal)
            continue
        made = load_lane_key(ledger.client, ledger.keys, seal)
        assert made == load_lane_key(ledger.client, ledger.keys, seal)


def test_show_says_what_a_run_waits_for(ledger: Ledger, seal: Seal, tool: Tool) -> None:
    events = accept_in_order(ledger, seal, 2)
    late = accept(ledger, seal)
    third = accept(ledger, seal)
    claims = {claim.unit: claim for claim in ledger.take([], 5)}
    finish_dispatch(ledger, claims[third], lane="a:other")

    _, turn, _ = tool("events", "show", events[1])
    _, gate, _ = tool("events", "show", third)

    assert f"run: a waiting, attempts 0, for its turn: first of its key is {events[0]}" in turn
    assert "run: a waiting, attempts 0, for the dispatch of earlier events" in gate
    assert late in claims


def test_a_lane_key_that_cannot_be_opened_leaves_runs_waiting(
    ledger: Ledger, seal: Seal, caplog: pytest.LogCaptureFixture
) -> None:
    other = Seal(Secret("SEAL_KEY", secrets.token_hex(32), None))
    ledger.client.set(ledger.keys.name("lane_key"), other.wrap("lane_key", b"x" * 32))
    accept(ledger, seal, b'{"data": {"id": "x"}}')
    (claim,) = ledger.take([], 1)
    failed: list[Outcome] = []
    dispatcher = Dispatcher(
        ledger, ROUTER, seal, worn=str, hand_over=failed.extend, on_dispatched=lambda *_: None, on_died=failed.append
    )

    dispatcher.dispatch([claim], begin=True)

    assert "so their order is not kept: sealed with key" in caplog.text
    (run,) = [one for one in ledger.take([], 5) if one.handler == "a"]
    outcome = prepare(run, ROUTER, seal, ledger)
    assert isinstance(outcome, Outcome)
    assert (outcome.verdict, failed) == (Verdict.BUSY, [])


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_runs_of_a_lane_never_overlap_and_start_in_order(
    ledger: Ledger, seal: Seal, seed: int
) -> None:
    draw, held, events = random.Random(seed), list[Claim](), list[str]()
    started = defaultdict[str, list[str]](list)
    lanes = dict[str, str]()

    def take() -> None:
        for claim in ledger.take([], 3):
            held.append(claim)
            note(claim)

    def note(claim: Claim) -> None:
        if not claim.handler:
            return
        lane = lanes[claim.event]
        running = [decode_text(one) for one in ledger.client.zrange(ledger.keys.name("running"), 0, -1)]
        assert [lanes[read_event_id(one)] for one in running].count(lane) == 1
        if claim.event not in started[lane]:
            started[lane].append(claim.event)

    def make() -> None:
        event = accept(ledger, seal)
        events.append(event)
        lanes[event] = f"a:{draw.randrange(3)}"

    def act() -> None:
        if not held:
            return
        claim = held.pop(draw.randrange(len(held)))
        if draw.random() < 0.15:
            lose_lease(ledger, claim)
        elif claim.handler:
            end(ledger, claim, draw.choice([Verdict.DONE, Verdict.DONE, Verdict.HANDED, Verdict.FAILED]))
        else:
            begin(claim)

    def begin(claim: Claim) -> None:
        for run in finish_dispatch(ledger, claim, lane=lanes[claim.unit], begins=draw.choice(["", "a"])):
            first = Claim(unit=run, token=1, key="", sealed=b"", labels=claim.labels, handler="a")
            held.append(first)
            note(first)

    for _ in range(150):
        draw.choice([take, take, act, act, make, ledger.sweep])()
    for _ in range(20 * len(events)):
        take()
        act()
        ledger.sweep()

    assert not held
    assert started == {
        lane: [event for event in events if lanes[event] == lane] for lane in sorted(set(lanes.values()))
    }
