"""Every transition of the ledger, its guard, and what junk does to it."""

import json
import random
import secrets
import time
from typing import Any

import pytest
import redis

from receiver.contract import keys as names
from receiver.contract.keys import Keys
from receiver.contract.records import Labels, read_labels, read_number
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.kit import accept, dispatch, make_runs, wait_for
from workers.ledger import query
from workers.ledger.composition import compose_transition
from workers.ledger.reseal import reseal_all
from workers.ledger.transitions import Ledger, SweepResult, read_pairs
from workers.ledger.units import Claim, Decision, Outcome, Verdict


@pytest.fixture
def event(ledger: Ledger, seal: Seal) -> str:
    return accept(ledger, seal)


def take(ledger: Ledger) -> Claim:
    (found,) = ledger.take([], 10)
    return found


def dispatched(ledger: Ledger, *handlers: str) -> list[Claim]:
    """The event's runs, claimed."""
    dispatch(ledger, take(ledger), "dispatched", "", handlers)
    return ledger.take([], 10)


def end(ledger: Ledger, claim: Claim, verdict: Verdict, **more: Any) -> str:
    return ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict, **more)])[0]


def state(ledger: Ledger, event: str) -> tuple[str, list[str]]:
    found = query.show(ledger, event)
    assert found is not None
    return found["state"], [run["state"] for run in found["runs"]]


def test_accept_queues_a_job_that_says_what_it_is(ledger: Ledger, event: str, client: redis.Redis) -> None:
    keys = ledger.keys
    (job,) = client.lrange(keys.jobs, 0, -1)

    assert job.decode() == f"1-{event}"
    assert not client.exists(f"{ledger.keys.rq_prefix}:job:{job.decode()}")
    assert client.zrange(keys.name("pending"), 0, -1) == [event.encode()]
    assert state(ledger, event) == ("accepted", [])


def test_a_claim_has_all_that_its_unit_needs(ledger: Ledger, event: str, seal: Seal, client: redis.Redis) -> None:
    claim = take(ledger)

    assert (claim.unit, claim.token, claim.labels.type) == (event, 1, "virtual_server.error")
    assert (claim.handler, claim.attempt, claim.failures, claim.deaths, claim.suspect) == ("", 0, 0, 0, False)
    assert (claim.labels.id, claim.labels.source, claim.labels.origin) == (event, "zyra", "delivery")
    assert seal.open(claim.key, claim.labels, claim.sealed).content.body == b"{}"
    assert client.zscore(ledger.keys.name("dispatching"), event) > time.time() * 1000
    assert not client.exists(ledger.keys.name("pending"), ledger.keys.jobs)


def test_a_job_is_claimed_once(ledger: Ledger, event: str) -> None:
    take(ledger)

    assert ledger.take([f"1-{event}"]) == []
    assert ledger.take([f"99-{event}"]) == []


def test_dispatch_makes_one_run_for_each_handler(ledger: Ledger, event: str) -> None:
    claims = dispatched(ledger, "a", "b")

    assert [claim.handler for claim in claims] == ["a", "b"]
    assert [claim.attempt for claim in claims] == [1, 1]
    assert state(ledger, event) == ("dispatched", ["running", "running"])


def decision(claim: Claim, *handlers: str, begins: str = "") -> Decision:
    return Decision(unit=claim.unit, token=claim.token, verdict="dispatched", runs=make_runs(handlers, begins))


def test_a_run_may_be_claimed_as_it_is_made(ledger: Ledger, event: str, seal: Seal, client: redis.Redis) -> None:
    other = accept(ledger, seal)
    claims = ledger.take([], 2)

    said = ledger.finish_dispatches(
        [decision(claims[0], "a", "b", begins="a"), decision(claims[1], "c"), decision(claims[1], "c")]
    )

    begun = f"{event}-{names.hash_handler('a')}"
    assert said == [["dispatched", begun], ["dispatched"], ["lost"]]
    assert state(ledger, event) == ("dispatched", ["running", "queued"])
    assert state(ledger, other) == ("dispatched", ["queued"])
    assert client.zscore(ledger.keys.name("running"), begun) > time.time() * 1000 + 10_000
    found = query.show(ledger, event)
    assert found is not None
    assert found["runs"][0]["attempts"] == 1
    assert ledger.renew([(begun, 1)]) == []
    assert ledger.finish([Outcome(unit=begun, token=1, verdict=Verdict.DONE)]) == ["done"]


def test_a_run_that_was_claimed_as_it_was_made_comes_back_like_any_other(ledger: Ledger, event: str) -> None:
    ((_, begun),) = ledger.finish_dispatches([decision(take(ledger), "a", begins="a")], lease=-1)

    assert ledger.sweep().expired == 1

    (claim,) = ledger.take([], 10)
    assert (claim.unit, claim.token, claim.attempt, claim.suspect, claim.deaths) == (begun, 3, 2, True, 1)


def test_what_stands_where_a_new_run_goes_is_none_of_ours(ledger: Ledger, event: str, client: redis.Redis) -> None:
    client.set(ledger.keys.run(f"{event}-{names.hash_handler('a')}"), "junk")
    client.set(ledger.keys.run(f"{event}-{names.hash_handler('b')}"), "junk")

    ledger.finish_dispatches([decision(take(ledger), "a", "b", begins="a")])

    assert state(ledger, event) == ("dispatched", ["running", "queued"])


def test_a_dispatch_that_is_repeated_makes_only_missing_runs(ledger: Ledger, event: str, client: redis.Redis) -> None:
    first = take(ledger)
    dispatch(ledger, first, "dispatched", "", ["a"])

    assert dispatch(ledger, first, "dispatched", "", ["a", "b"]) == "lost"
    assert client.llen(ledger.keys.jobs) == 1


@pytest.mark.parametrize("verdict", ["unhandled", "unreadable", "dead"])
def test_an_event_may_end_at_dispatch(ledger: Ledger, event: str, verdict: str) -> None:
    assert dispatch(ledger, take(ledger), verdict, "why") == verdict
    found = query.show(ledger, event)

    assert found is not None
    assert (found["state"], found["cause"]) == (verdict, "why")


def test_the_last_open_run_closes_the_event(ledger: Ledger, event: str, client: redis.Redis) -> None:
    one, two = dispatched(ledger, "a", "b")

    end(ledger, one, Verdict.DONE)
    assert state(ledger, event)[0] == "dispatched"
    end(ledger, two, Verdict.DONE)

    assert state(ledger, event) == ("done", ["done", "done"])
    assert client.zscore(ledger.keys.name("final"), event) == pytest.approx(time.time() * 1000, abs=5000)
    assert not client.exists(*(ledger.keys.name(name) for name in ("open", "queued", "running", "waiting")))


def test_a_dead_run_makes_the_event_a_dead_letter(ledger: Ledger, event: str) -> None:
    one, two = dispatched(ledger, "a", "b")

    end(ledger, one, Verdict.DEAD, error="x" * 900)
    end(ledger, two, Verdict.DONE)

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["cause"], len(found["runs"][0]["error"])) == ("dead", "handler", 500)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_token_that_is_not_the_present_one_changes_nothing(ledger: Ledger, event: str, verdict: Verdict) -> None:
    (claim,) = dispatched(ledger, "a")

    said = ledger.finish([Outcome(unit=claim.unit, token=claim.token - 1, verdict=verdict)])

    assert said == ["lost"]
    assert state(ledger, event) == ("dispatched", ["running"])


def test_an_ended_run_does_not_end_again(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")

    assert [end(ledger, claim, Verdict.DONE), end(ledger, claim, Verdict.DEAD)] == ["done", "lost"]
    assert state(ledger, event) == ("done", ["done"])


@pytest.mark.parametrize(
    ("verdict", "attempts", "failures"),
    [(Verdict.FAILED, 1, 1), (Verdict.LATER, 1, 0), (Verdict.MISSING, 0, 0), (Verdict.BUSY, 0, 0)],
)
def test_what_waits_is_due_at_its_time(
    ledger: Ledger, event: str, verdict: Verdict, attempts: int, failures: int
) -> None:
    (claim,) = dispatched(ledger, "a")
    end(ledger, claim, verdict, delay=2.0)
    assert ledger.sweep().due == 0
    assert state(ledger, event) == ("dispatched", ["waiting"])

    wait_for(lambda: ledger.sweep().due == 1, 10)
    (again,) = ledger.take([], 10)

    assert (again.attempt, again.failures) == (attempts + 1, failures)


def test_handing_back_costs_nothing(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    end(ledger, claim, Verdict.HANDED)
    (again,) = ledger.take([], 10)

    assert (again.attempt, again.failures, again.token) == (1, 0, claim.token + 1)


@pytest.mark.parametrize(("verdict", "field"), [(Verdict.MISSING, "missing_since"), (Verdict.LATER, "later_since")])
def test_patience_ends(ledger: Ledger, event: str, client: redis.Redis, verdict: Verdict, field: str) -> None:
    (claim,) = dispatched(ledger, "a")
    client.hset(ledger.keys.run(claim.unit), field, 1)

    end(ledger, claim, verdict, error="no-such-handler")

    assert state(ledger, event) == ("dead", ["dead"])


def test_a_process_that_dies_alone_three_times_is_quarantined(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    for _ in range(2):
        end(ledger, claim, Verdict.DIED, error="signal 11")
        (claim,) = ledger.take([], 10)
        assert claim.suspect
    end(ledger, claim, Verdict.DIED, error="signal 11")

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["runs"][0]["error"]) == ("dead", "quarantined: signal 11")


# --- leases


def test_a_lease_that_ends_fences_its_owner_off(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    assert ledger.renew([(claim.unit, claim.token)], lease=0) == []
    time.sleep(0.01)

    assert ledger.sweep().expired == 1
    (again,) = ledger.take([], 10)

    assert (again.token, again.deaths, again.suspect) == (claim.token + 2, 1, True)
    assert ledger.renew([(claim.unit, claim.token)]) == [(claim.unit, claim.token)]
    assert end(ledger, claim, Verdict.DONE) == "lost"
    assert end(ledger, again, Verdict.DONE) == "done"


def test_an_expired_lease_that_nobody_took_still_counts(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    ledger.renew([(claim.unit, claim.token)], lease=0)
    time.sleep(0.01)

    assert end(ledger, claim, Verdict.DONE) == "done"
    assert ledger.sweep().expired == 0


def test_leases_stay_while_they_may_not_expire(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    ledger.renew([(claim.unit, claim.token)], lease=0)
    time.sleep(0.01)

    assert ledger.sweep(leases=False).expired == 0
    assert ledger.renew([(claim.unit, claim.token)]) == []


def test_the_third_death_of_a_dispatch_makes_the_event_dead(ledger: Ledger, event: str) -> None:
    for number in range(3):
        claim = take(ledger)
        assert claim.deaths == number
        ledger.renew([(claim.unit, claim.token)], lease=0)
        time.sleep(0.01)
        assert ledger.sweep().expired == 1

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["cause"]) == ("dead", "dispatch-died")
    assert ledger.take([], 10) == []


def test_a_run_that_takes_its_worker_along_is_quarantined(ledger: Ledger, event: str) -> None:
    """Nobody is left to tell: the ends of its leases count, from when it was alone."""
    (claim,) = dispatched(ledger, "a")
    for kills in (0, 1, 2, 3):
        if kills:
            assert ledger.claim_alone(claim.unit, claim.token) is not None
        ledger.renew([(claim.unit, claim.token)], lease=0)
        time.sleep(0.01)
        assert ledger.sweep().expired == 1
        if kills < 3:
            (claim,) = ledger.take([], 1)
            assert claim.suspect

    assert state(ledger, event) == ("dead", ["dead"])
    found = query.show(ledger, event)
    assert found is not None
    assert found["runs"][0]["error"] == "quarantined: its worker died with it"


def test_nobody_is_alone_with_a_token_that_is_not_theirs(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")

    assert ledger.claim_alone(claim.unit, claim.token + 1) is None
    found = ledger.claim_alone(claim.unit, claim.token)
    assert found is not None
    assert (found.handler, found.attempt, found.sealed) == (claim.handler, claim.attempt, claim.sealed)


def test_a_dispatch_is_handed_back_at_no_cost(ledger: Ledger, event: str) -> None:
    claim = take(ledger)

    assert end(ledger, claim, Verdict.HANDED) == "handed"
    assert end(ledger, claim, Verdict.HANDED) == "lost"
    again = take(ledger)
    assert (again.unit, again.deaths) == (event, 0)


def test_a_dispatch_that_was_fenced_off_changes_nothing(ledger: Ledger, event: str) -> None:
    claim = take(ledger)
    ledger.renew([(claim.unit, claim.token)], lease=0)
    time.sleep(0.01)
    ledger.sweep()

    assert dispatch(ledger, claim, "dispatched", "", ["a"]) == "lost"
    assert state(ledger, event) == ("accepted", [])


def test_a_parked_event_comes_back(ledger: Ledger, event: str, client: redis.Redis) -> None:
    assert dispatch(ledger, take(ledger), "parked", "unknown-seal-key") == "parked"
    assert state(ledger, event) == ("accepted", [])
    client.zadd(ledger.keys.name("parked"), {event: 1})

    assert ledger.sweep().due == 1
    assert take(ledger).unit == event


# --- lost entries


def test_a_healthy_backlog_gets_no_extra_entry(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    events = [accept(ledger, seal) for _ in range(20)]
    for event in events:
        client.hset(ledger.keys.event(event), "queued_at", 1)  # old: the fleet was dead for long

    assert ledger.sweep().lost == 0
    assert client.llen(ledger.keys.jobs) == 20


def test_what_was_popped_and_never_claimed_is_queued_again(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    lost, other = accept(ledger, seal), accept(ledger, seal)
    client.blmove(ledger.keys.jobs, ledger.keys.intermediate, 1, "LEFT", "RIGHT")

    assert ledger.sweep(lost_after=-1).lost == 0  # seen for the first time: it may have been taken a moment ago
    assert ledger.sweep().lost == 0  # not for ten seconds
    assert ledger.sweep(lost_after=-1).lost == 1
    assert ledger.sweep(lost_after=-1).lost == 0

    assert client.llen(ledger.keys.intermediate) == 0
    assert [claim.unit for claim in ledger.take([], 10)] == [other, lost]


def test_a_deleted_list_is_made_again(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    events = {accept(ledger, seal) for _ in range(5)}
    client.delete(ledger.keys.jobs)
    ledger.sweep()

    assert ledger.sweep(lost_after=-1).lost == 5
    assert {claim.unit for claim in ledger.take([], 10)} == events


def test_any_number_of_sweepers_queue_once(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    accept(ledger, seal)
    client.delete(ledger.keys.jobs)

    assert sum(ledger.sweep(lost_after=-1).lost for _ in range(5)) == 1


# --- the end


def test_what_is_final_goes_as_a_whole(client: redis.Redis, keys: Keys, seal: Seal) -> None:
    ledger = Ledger(client, keys, seal, keep_done=0)
    accept(ledger, seal)
    (claim,) = dispatched(ledger, "a")
    end(ledger, claim, Verdict.DONE)
    time.sleep(0.01)

    assert ledger.sweep().deleted == 1
    left = {key.decode().removeprefix(keys.prefix).partition(":")[0] for key in client.keys(keys.prefix + "*")}
    assert left == {"ordinal", "format", "anchor", "counters", "recent", "done_at", "seen"}


@pytest.mark.parametrize(
    ("swept", "full"),
    [
        ({}, False),
        ({"deleted": 499}, False),
        ({"deleted": 500}, True),
        ({"expired": 501}, True),
        ({"due": 500}, True),
        ({"lost": 500}, True),
    ],
)
def test_a_sweep_that_touched_as_many_as_it_may_is_full(swept: dict[str, int], full: bool) -> None:
    assert SweepResult(**swept).full is full


def test_dead_letters_do_not_expire(client: redis.Redis, keys: Keys, seal: Seal) -> None:
    ledger = Ledger(client, keys, seal, keep_done=0)
    event = accept(ledger, seal)
    (claim,) = dispatched(ledger, "a")
    end(ledger, claim, Verdict.DEAD)
    time.sleep(0.01)

    assert ledger.sweep().deleted == 0
    assert state(ledger, event)[0] == "dead"


def test_shedding_drops_bodies_of_finished_events_only(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    done = accept(ledger, seal)
    dispatch(ledger, take(ledger), "unhandled")
    kept = accept(ledger, seal)

    assert ledger.make_room() == (1, 0)
    assert [client.exists(ledger.keys.body(event)) for event in (done, kept)] == [0, 1]
    assert ledger.replay(done) == ("the body is gone", 0)


def test_shedding_goes_on_where_it_ended(ledger: Ledger, seal: Seal) -> None:
    for _ in range(4):
        accept(ledger, seal)
        dispatch(ledger, take(ledger), "unhandled")
        time.sleep(0.002)

    went = [ledger.make_room(most=1) for _ in range(14)]

    assert [sum(counts) for counts in zip(*went, strict=True)] == [4, 4]
    assert went.index((0, 1)) > went.index((1, 0)) + 3, "bodies go before records"
    assert ledger.make_room() == (0, 0)


# --- people


def test_replay_gives_a_dead_run_a_fresh_budget(ledger: Ledger, event: str, client: redis.Redis) -> None:
    one, two = dispatched(ledger, "a", "b")
    end(ledger, one, Verdict.DEAD)
    end(ledger, two, Verdict.DONE)

    assert ledger.replay(event, dry_run=True) == ("replayed", 1)
    assert state(ledger, event) == ("dead", ["dead", "done"])
    assert ledger.replay(event, reason="mended") == ("replayed", 1)
    (again,) = ledger.take([], 10)

    assert (again.handler, again.attempt, again.failures, again.is_replay) == ("a", 1, 0, True)
    assert state(ledger, event) == ("dispatched", ["running", "done"])
    assert b'"reason": "mended"' in client.lindex(ledger.keys.name("audit"), 0)
    end(ledger, again, Verdict.DONE)
    assert state(ledger, event) == ("done", ["done", "done"])


def test_replay_leaves_what_is_open_and_wakes_what_waits(ledger: Ledger, event: str) -> None:
    one, two = dispatched(ledger, "a", "b")
    end(ledger, one, Verdict.FAILED, delay=3600)

    assert ledger.replay(event) == ("replayed", 1)
    (again,) = ledger.take([], 10)
    assert (again.handler, again.attempt) == ("a", 2)
    assert ledger.replay(event) == ("nothing to replay: it is dispatched", 0)
    assert end(ledger, two, Verdict.DONE) == "done"


def test_replay_of_what_is_done_needs_again(ledger: Ledger, event: str) -> None:
    (claim,) = dispatched(ledger, "a")
    end(ledger, claim, Verdict.DONE)

    assert ledger.replay(event) == ("nothing to replay: it is done", 0)
    assert ledger.replay(event, again=True) == ("replayed", 1)


@pytest.mark.parametrize("verdict", ["unhandled", "unreadable", "dead"])
def test_replay_dispatches_what_was_not(ledger: Ledger, event: str, verdict: str, client: redis.Redis) -> None:
    dispatch(ledger, take(ledger), verdict)

    assert ledger.replay(event) == ("replayed", 1)
    assert take(ledger).is_replay
    assert not client.exists(ledger.keys.name("final"), ledger.keys.name("dead"))


def test_nobody_replays_what_is_not_there(ledger: Ledger) -> None:
    assert ledger.replay("evt_none") == ("no such event", 0)
    assert ledger.discard("evt_none", reason="x") == ("no such event", 0)


def test_discard_lets_dead_runs_go(ledger: Ledger, event: str, client: redis.Redis) -> None:
    one, two = dispatched(ledger, "a", "b")
    end(ledger, one, Verdict.DEAD)
    end(ledger, two, Verdict.REFUSED)

    assert ledger.discard(event, reason="r", dry_run=True) == ("discarded", 2)
    assert ledger.discard(event, reason="r") == ("discarded", 2)
    assert state(ledger, event) == ("discarded", ["discarded", "discarded"])
    assert ledger.discard(event, reason="r") == ("nothing to discard: it is discarded", 0)
    assert client.zcard(ledger.keys.name("final")) == 1


def test_discard_of_an_event_without_runs(ledger: Ledger, event: str) -> None:
    dispatch(ledger, take(ledger), "dead", "altered")

    assert ledger.discard(event, reason="r") == ("discarded", 1)
    assert state(ledger, event) == ("discarded", [])
    assert ledger.replay(event) == ("nothing to replay: it is discarded", 0)
    assert ledger.replay(event, again=True) == ("replayed", 1)


def test_what_people_did_is_written_down(ledger: Ledger, event: str, client: redis.Redis) -> None:
    dispatch(ledger, take(ledger), "dead", "altered")

    ledger.discard(event, reason="test data")

    line = json.loads(client.lindex(ledger.keys.name("audit"), 0) or b"null")
    assert abs(line.pop("at") - time.time()) < 5
    assert line == {"action": "discard", "event": event, "reason": "test data"}


# --- times


@pytest.mark.parametrize(
    ("verdict", "field", "hours", "state_then"),
    [
        (Verdict.MISSING, "missing_since", 23, "waiting"),
        (Verdict.MISSING, "missing_since", 25, "dead"),
        (Verdict.LATER, "later_since", 71, "waiting"),
        (Verdict.LATER, "later_since", 73, "dead"),
    ],
)
def test_patience_has_an_end(
    ledger: Ledger, event: str, client: redis.Redis, verdict: Verdict, field: str, hours: int, state_then: str
) -> None:
    (claim,) = dispatched(ledger, "a")
    client.hset(ledger.keys.run(claim.unit), field, int((time.time() - hours * 3600) * 1000))

    end(ledger, claim, verdict, delay=60)

    assert state(ledger, event)[1] == [state_then]


def test_delays_are_seconds(ledger: Ledger, event: str, client: redis.Redis) -> None:
    one, two = dispatched(ledger, "a", "b")
    ledger.finish([Outcome(unit=one.unit, token=one.token, verdict=Verdict.FAILED)])
    end(ledger, two, Verdict.FAILED, delay=3600)

    found = client.zrange(ledger.keys.name("waiting"), 0, -1, withscores=True)
    waiting = {unit.decode(): at / 1000 - time.time() for unit, at in found}
    assert waiting[two.unit] == pytest.approx(3600, abs=2)
    assert waiting[one.unit] <= 0


def test_what_is_done_is_kept_for_a_day(ledger: Ledger, event: str, client: redis.Redis) -> None:
    dispatch(ledger, take(ledger), "unhandled")

    assert client.zscore(ledger.keys.name("final"), event) / 1000 == pytest.approx(time.time(), abs=5)
    assert (ledger.keep, ledger.sweep().deleted) == (86_400_000, 0)
    found = query.show(ledger, event)
    assert found is not None
    assert found["cause"] == ""


def test_a_claim_holds_what_its_attempt_needs(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    accept(ledger, seal, delivery_id="d1")
    claim = take(ledger)
    assert (claim.handler, claim.labels.delivery_id) == ("", "d1")
    seal.open(claim.key, claim.labels, claim.sealed)
    dispatch(ledger, claim, "dispatched", "", ["a"])
    (run,) = ledger.take([], 1)
    client.delete(ledger.keys.body(run.event))

    found = ledger.claim_alone(run.unit, run.token)

    assert found is not None
    assert (found.handler, found.sealed) == ("a", b"")


def test_scripts_that_redis_forgot_are_loaded_again(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    event = accept(ledger, seal)
    ledger.take([], 0)
    client.script_flush()

    assert take(ledger).unit == event


def test_a_full_redis_lets_work_end_and_nothing_grow(own_ledger: Ledger, seal: Seal) -> None:
    event = accept(own_ledger, seal)
    own_ledger.client.config_set("maxmemory", 1)
    claim = take(own_ledger)
    dispatch(own_ledger, claim, "dispatched", "", ["a"])
    (run,) = own_ledger.take([], 1)

    assert end(own_ledger, run, Verdict.DEAD) == "dead"
    for grows in (lambda: own_ledger.allow("k", 1, 1), lambda: own_ledger.replay(event)):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            grows()


# --- places and counters


def test_places_of_a_handler_are_free_again_when_its_runs_end(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal)
    (one,) = dispatched(ledger, "a")
    accept(ledger, seal)
    (two,) = dispatched(ledger, "a")

    assert [ledger.take_place("a", 1, unit) for unit in (one.unit, one.unit, two.unit)] == [True, True, False]
    end(ledger, one, Verdict.DONE)
    assert ledger.take_place("a", 1, two.unit)


def test_allow_counts_in_a_moving_window(ledger: Ledger) -> None:
    assert [ledger.allow("k", 2, 0.3) for _ in range(3)] == [True, True, False]
    wait_for(lambda: ledger.allow("k", 2, 0.3), 2)


def test_who_was_allowed_is_allowed_again_and_counts_once(ledger: Ledger) -> None:
    asked = [("a", 1), ("b", 1), ("a", 1), ("b", 2), ("a", 0), ("c", 0)]

    assert [ledger.allow("k", times, 60, who) for who, times in asked] == [True, False, True, True, True, False]


# --- junk


FORGED = [
    b"os.system('x')",
    b"\xff\xfe",
    b"",
    b"1-evt_short",
    b"1-" + b"evt_" + b"0" * 26,
    b"x" * 5000,
    b"1-evt_" + b"0" * 26 + b"-zzz",
]


def test_forged_jobs_are_counted_and_nothing_else(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    client.rpush(ledger.keys.jobs, *FORGED)
    event = accept(ledger, seal)

    assert [claim.unit for claim in ledger.take([], 20)] == [event]
    counters = client.hgetall(ledger.keys.name("counters"))
    assert (counters[b"jobs_refused"], counters[b"jobs_stale"]) == (b"6", b"1")


def test_a_record_of_the_wrong_type_is_set_aside(ledger: Ledger, event: str, seal: Seal, client: redis.Redis) -> None:
    client.delete(ledger.keys.event(event))
    client.set(ledger.keys.event(event), "junk")
    other = accept(ledger, seal)

    assert [claim.unit for claim in ledger.take([], 20)] == [other]
    assert client.zrange(ledger.keys.name("junk"), 0, -1) == [event.encode()]
    assert next(query.search(ledger, query.Filter()))["id"] == other


def test_a_run_that_its_event_does_not_know_ends_nothing(ledger: Ledger, event: str, client: redis.Redis) -> None:
    forged = f"{event}-" + "0" * 12
    client.hset(ledger.keys.run(forged), mapping={"handler": "a", "state": "running", "token": 1, "job": "9"})

    assert ledger.finish([Outcome(unit=forged, token=1, verdict=Verdict.REFUSED)]) == ["refused"]
    assert state(ledger, event) == ("accepted", [])
    client.hset(ledger.keys.run(forged), "state", "queued")
    assert ledger.take([f"9-{forged}"]) == []
    assert client.zscore(ledger.keys.name("junk"), forged)


def test_what_would_stop_rqs_own_worker_is_taken_out_of_its_lists(ledger: Ledger, client: redis.Redis) -> None:
    client.rpush(ledger.keys.jobs, b"\xff\xfe", b"a:b", b"1-fine_job")
    client.rpush(ledger.keys.intermediate, b"\xff\xfe", b"")

    ledger.sweep()

    assert client.lrange(ledger.keys.jobs, 0, -1) == [b"1-fine_job"]
    assert client.lrange(ledger.keys.intermediate, 0, -1) == [b""]
    assert client.hget(ledger.keys.name("counters"), "jobs_refused") == b"3"


@pytest.mark.parametrize("finder", ["take", "sweep"])
def test_an_event_does_not_wait_for_a_run_that_is_junk(
    ledger: Ledger, event: str, client: redis.Redis, finder: str
) -> None:
    dispatch(ledger, take(ledger), "dispatched", "", ["a", "b"])
    one, two = ledger.take([], 2)
    end(ledger, one, Verdict.DONE)
    if finder == "take":
        end(ledger, two, Verdict.HANDED)
    client.delete(ledger.keys.run(two.unit))
    client.set(ledger.keys.run(two.unit), "junk")

    assert ledger.take([], 2) == []
    client.zadd(ledger.keys.name("running"), {two.unit: 1}, xx=True)
    ledger.sweep()

    assert state(ledger, event)[0] == "dead"
    assert client.zrange(ledger.keys.name("junk"), 0, -1) == [two.unit.encode()]


def test_a_run_whose_record_is_gone_is_made_again_by_a_replay(ledger: Ledger, event: str, client: redis.Redis) -> None:
    one, two = dispatched(ledger, "a", "b")
    end(ledger, one, Verdict.DONE)
    client.delete(ledger.keys.run(two.unit))
    client.zadd(ledger.keys.name("running"), {two.unit: 1})
    ledger.sweep()

    assert ledger.replay(event, dry_run=True) == ("replayed", 1)
    assert ledger.replay(event) == ("replayed", 1)
    check_books(ledger, [event])
    dispatch(ledger, take(ledger), "dispatched", "", ["a", "b"])
    (again,) = ledger.take([], 5)
    assert (again.unit, again.handler, again.attempt) == (two.unit, "b", 1)
    end(ledger, again, Verdict.DONE)
    assert state(ledger, event) == ("done", ["done", "done"])


def test_a_run_whose_record_is_junk_can_be_discarded(ledger: Ledger, event: str, client: redis.Redis) -> None:
    (claim,) = dispatched(ledger, "a")
    client.delete(ledger.keys.run(claim.unit))
    client.set(ledger.keys.run(claim.unit), "junk")
    client.zadd(ledger.keys.name("running"), {claim.unit: 1})
    ledger.sweep()

    assert ledger.discard(event, reason="r", dry_run=True) == ("discarded", 1)
    assert ledger.discard(event, reason="r") == ("discarded", 1)
    assert state(ledger, event) == ("discarded", ["discarded"])


def test_the_sweeper_sets_junk_aside_once(ledger: Ledger, client: redis.Redis) -> None:
    strange = names.make_event_id(1)
    for index in ("queued", "pending", "running", "dispatching", "waiting", "parked", "final"):
        client.zadd(ledger.keys.name(index), {strange: 1, "x": 1})
    client.set(ledger.keys.event(strange), "junk")

    ledger.sweep(lost_after=-1)
    ledger.sweep(lost_after=-1)

    assert client.zcard(ledger.keys.name("junk")) == 2
    assert client.zcard(ledger.keys.name("queued")) == 0


@pytest.mark.parametrize("index", ["queued", "pending", "running", "dispatching", "waiting", "parked", "final"])
def test_an_index_of_the_wrong_type_is_moved_aside(ledger: Ledger, client: redis.Redis, index: str) -> None:
    client.set(ledger.keys.name(index), "junk")

    ledger.sweep()

    assert not client.exists(ledger.keys.name(index))
    assert client.keys(ledger.keys.name(f"aside:{index}:*"))


@pytest.mark.parametrize("name", ["jobs", "intermediate"])
def test_a_list_of_the_wrong_type_is_moved_aside(ledger: Ledger, seal: Seal, client: redis.Redis, name: str) -> None:
    client.set(getattr(ledger.keys, name), "junk")

    ledger.sweep()

    event = accept(ledger, seal)
    assert [claim.unit for claim in ledger.take([], 1)] == [event]


def test_random_walks_keep_the_books(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    """Whatever happens in whatever order, every event stays in exactly the indexes of its state, and ends."""
    chance = random.Random(7)
    events = [accept(ledger, seal) for _ in range(12)]
    held: list[Claim] = []
    for step in range(600):
        what = chance.randrange(8)
        if what <= 1:
            held += ledger.take([], chance.randrange(1, 4))
        elif what <= 3 and held:
            claim = held.pop(chance.randrange(len(held)))
            if claim.handler:
                end(ledger, claim, chance.choice([*Verdict, Verdict.DONE]), delay=0.0)
            else:
                dispatch(ledger, claim, "dispatched", "", chance.choice([["a"], ["a", "b"]]))
        elif what == 4 and held:
            claim = held[chance.randrange(len(held))]
            ledger.renew([(claim.unit, claim.token)], lease=chance.choice([0, 15]))
        elif what == 5:
            ledger.sweep(lost_after=-1)
        elif what == 6:
            ledger.replay(chance.choice(events), again=step % 5 == 0)
        elif what == 7:
            client.lpop(ledger.keys.jobs)
        check_books(ledger, events)
    for _ in range(200):
        for claim in held + ledger.take([], 50):
            if claim.handler:
                end(ledger, claim, Verdict.DONE)
            else:
                dispatch(ledger, claim, "dispatched", "", ["a"])
        held = []
        ledger.sweep(lost_after=-1)
        for claim in ledger.take([], 0):
            held.append(claim)
    time.sleep(0.05)

    assert {state(ledger, event)[0] for event in events} <= {"done", "dead", "dispatched", "accepted"}


def check_books(ledger: Ledger, events: list[str]) -> None:
    where = {
        name: {member.decode() for member in ledger.client.zrange(ledger.keys.name(name), 0, -1)}
        for name in ("pending", "dispatching", "parked", "open", "dead", "final", "queued", "running", "waiting")
    }
    for event in events:
        found, runs = state(ledger, event)
        expected = {
            "accepted": {"pending", "dispatching", "parked"}, "dispatched": {"open"}, "dead": {"dead"}, "done": {"final"},
        }[found]  # fmt: skip
        at = {name for name in ("pending", "dispatching", "parked", "open", "dead", "final") if event in where[name]}
        assert len(at) == 1, (found, at)
        assert at <= expected, (found, at)
        record = read_pairs(ledger.client.hgetall(ledger.keys.event(event)))
        for suffix, run in zip([s for s in record.get("runs", "").split(",") if s], runs, strict=True):
            places = {name for name in ("queued", "running", "waiting") if f"{event}-{suffix}" in where[name]}
            assert places == ({run} if run in ("queued", "running", "waiting") else set()), (run, places)


# --- what is asked of the ledger as a whole


def test_what_was_popped_and_not_claimed_goes_back_to_the_head(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    events = [accept(ledger, seal) for _ in range(2)]
    popped = client.blmove(ledger.keys.jobs, ledger.keys.intermediate, 1, "LEFT", "RIGHT")
    assert popped == f"1-{events[0]}".encode()

    ledger.put_back([f"1-{events[0]}"])

    assert client.lrange(ledger.keys.jobs, 0, -1) == [f"{n}-{event}".encode() for n, event in enumerate(events, 1)]
    assert not client.exists(ledger.keys.intermediate)


def test_a_ledger_is_idle_when_nothing_is_queued_or_claimed(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    assert ledger.is_idle()
    client.rpush(ledger.keys.jobs, "anybodys")
    assert not ledger.is_idle()
    client.delete(ledger.keys.jobs)
    accept(ledger, seal)
    client.delete(ledger.keys.jobs)
    assert not ledger.is_idle()
    client.lpush(ledger.keys.jobs, f"1-{client.zrange(ledger.keys.name('pending'), 0, 0)[0].decode()}")
    (claim,) = ledger.take([], 1)
    assert not ledger.is_idle()
    dispatch(ledger, claim, "dispatched", "", ["a"])
    jobs = [job.decode() for job in client.lpop(ledger.keys.jobs, 9)]
    assert not ledger.is_idle()
    ledger.take(jobs)
    assert not ledger.is_idle()


def test_only_what_lets_work_grow_waits_for_memory() -> None:
    scripts = ["alone", "discard", "dispatch", "finish", "renew", "shed", "slot", "sweep", "take", "allow", "replay"]

    refused = [name for name in scripts if "allow-oom" not in compose_transition(f"{name}.lua").partition("\n")[0]]

    assert refused == ["allow", "replay"]


def test_finished_events_are_kept_for_a_day_unless_told(ledger: Ledger) -> None:
    assert ledger.keep == 86_400_000
    assert Ledger(ledger.client, ledger.keys, keep_done=0.5).keep == 500


def test_a_claim_lasts_as_long_as_its_lease(ledger: Ledger, event: str, client: redis.Redis) -> None:
    ledger.take([], 1, lease=100)

    left = client.zscore(ledger.keys.name("dispatching"), event) / 1000 - time.time()
    assert 98 < left <= 100


def test_a_script_that_redis_forgot_is_loaded_again(own_ledger: Ledger, seal: Seal) -> None:
    accept(own_ledger, seal)
    own_ledger.take([], 0)
    own_ledger.client.script_flush()

    assert len(own_ledger.take([], 1)) == 1


def test_what_a_record_says_and_what_goes_without_saying() -> None:
    told = {"source": "s", "type": "t", "received_at": "5", "delivery_id": "d", "origin": "send"}

    assert read_labels("evt_1", told) == Labels(
        id="evt_1", source="s", type="t", received_at=5, delivery_id="d", origin="send"
    )
    assert read_labels("evt_1", {}) == Labels(
        id="evt_1", source="", type="", received_at=0, delivery_id="", origin="delivery"
    )


def test_a_hash_is_read_in_both_of_redis_protocols() -> None:
    told = {"a": "1", "b": "2"}

    assert read_pairs([b"a", b"1", b"b", b"2"]) == read_pairs({b"a": b"1", b"b": b"2"}) == told


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5), (b"7", 7), ("8", 8), (b"", 0), (None, 0), (b"-1", 0), (b"1e3", 0), ("\u0663", 0),
        (b"9" * 15, 10**15 - 1), (b"9" * 16, 0),
    ],
)  # fmt: skip
def test_numbers_of_the_ledger(value: object, number: int) -> None:
    assert read_number(value) == number


def test_a_renewal_lasts_and_names_all_that_is_lost(ledger: Ledger, event: str, client: redis.Redis) -> None:
    claim = take(ledger)
    strangers = [("evt_" + "0" * 26, 7), ("evt_" + "1" * 26, 8)]

    assert ledger.renew([strangers[0], claim.ticket, strangers[1]], lease=100) == strangers

    left = client.zscore(ledger.keys.name("dispatching"), event) / 1000 - time.time()
    assert 98 < left <= 100
    assert ledger.renew([]) == []


def test_a_claim_says_what_it_knows(ledger: Ledger, event: str, client: redis.Redis) -> None:
    (run,) = dispatched(ledger, "a")
    end(ledger, run, Verdict.HANDED)
    client.hdel(ledger.keys.event(event), "source", "type", "received_at", "delivery_id", "key")
    client.hdel(ledger.keys.run(run.unit), "handler")

    (claim,) = ledger.take([], 1)

    assert claim.labels == Labels(id=event, source="", type="", received_at=0, delivery_id="", origin="delivery")
    assert (claim.key, claim.handler, claim.is_replay, claim.suspect) == ("", "?", False, False)


@pytest.mark.parametrize("of", ["event", "run"])
def test_a_replay_is_known_to_its_attempts(ledger: Ledger, event: str, of: str) -> None:
    if of == "event":
        dispatch(ledger, take(ledger), "unhandled")
        ledger.replay(event, reason="a handler came")
        assert take(ledger).is_replay
        ledger.sweep(leases=False)
        return
    (run,) = dispatched(ledger, "a")
    end(ledger, run, Verdict.DEAD)
    ledger.replay(event)

    (claim,) = ledger.take([], 1)

    assert (claim.is_replay, claim.attempt) == (True, 1)


def test_replays_and_discards_stand_in_one_list(ledger: Ledger, event: str, client: redis.Redis) -> None:
    dispatch(ledger, take(ledger), "dead", "altered")
    ledger.replay(event)
    dispatch(ledger, take(ledger), "dead", "altered")
    ledger.discard(event, reason="test data")

    lines = [json.loads(line) for line in client.lrange(ledger.keys.name("audit"), 0, -1)]

    assert [(line["action"], line["event"], line["reason"]) for line in lines] == [
        ("discard", event, "test data"),
        ("replay", event, ""),
    ]
    assert abs(lines[0]["at"] - time.time()) < 5


def test_a_counter_that_is_shared_forgets_after_its_window(ledger: Ledger, client: redis.Redis) -> None:
    assert [ledger.allow("key", 2, 50) for _ in range(3)] == [True, True, False]

    assert 48_000 < client.pttl(ledger.keys.name("allow:key")) <= 50_000


def test_the_oldest_job_is_popped_first(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    events = [accept(ledger, seal) for _ in range(2)]

    assert [ledger.pop(1), ledger.pop(1), ledger.pop(1)] == [f"1-{events[0]}", f"2-{events[1]}", None]
    assert client.lrange(ledger.keys.intermediate, 0, -1) == [
        f"{n}-{event}".encode() for n, event in enumerate(events, 1)
    ]


@pytest.mark.parametrize("junk", ["abc", "-5", "1e400", "inf", "nan", "0x10", "9" * 15, "9" * 400, "", " 7"])
def test_an_ordinal_of_any_form_stops_nothing(ledger: Ledger, seal: Seal, client: redis.Redis, junk: str) -> None:
    first = accept(ledger, seal)
    client.set(ledger.keys.name("ordinal"), junk)

    second = accept(ledger, seal)

    assert {claim.unit for claim in ledger.take([], 5)} == {first, second}
    assert client.get(ledger.keys.name("ordinal")).isdigit()


def test_counters_that_are_no_numbers_stop_nothing(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    client.hset(ledger.keys.name("counters"), mapping={"events_done": "x", "jobs_stale": "9" * 30})
    event = accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    client.rpush(ledger.keys.jobs, f"1-{event}")

    assert dispatch(ledger, claim, "unhandled") == "unhandled"
    assert ledger.take([], 5) == []
    assert client.hget(ledger.keys.name("counters"), "jobs_stale") == b"1"


def test_what_stands_in_the_place_of_rqs_queues_stops_nothing(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    queues = f"{ledger.keys.rq_prefix}:queues"
    before = client.smembers(queues)
    client.delete(queues)
    client.set(queues, "junk")
    try:
        accept(ledger, seal)
        ledger.sweep()
        accept(ledger, seal)

        assert client.smembers(queues) == {ledger.keys.jobs.encode()}
    finally:
        client.delete(queues)
        if before:
            client.sadd(queues, *before)


def test_foreign_members_and_job_ids_are_swept_away(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    for index in ("pending", "queued", "running"):
        client.zadd(ledger.keys.name(index), {f"foreign-{number}": 10**12 + number for number in range(20_000)})
        client.zadd(ledger.keys.name(index), {f"evt_{number:026d}": 1 for number in range(2_000)})
    client.rpush(ledger.keys.jobs, "a" * 20_000_000)
    event = accept(ledger, seal)

    for _ in range(60):
        ledger.sweep()
        if sum(client.zcard(ledger.keys.name(index)) for index in ("pending", "queued", "running")) < 100:
            break

    assert sum(client.zcard(ledger.keys.name(index)) for index in ("pending", "queued", "running")) < 100
    assert [claim.unit for claim in ledger.take([], 5)] == [event]
    assert all(len(job) < 100 for job in client.lrange(ledger.keys.jobs, 0, -1))


@pytest.mark.parametrize("paused", [False, True])
def test_runs_that_wait_for_a_handler_can_be_discarded(ledger: Ledger, event: str, paused: bool) -> None:
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["gone", "there"])
    if paused:
        ledger.pause("gone")
    for claim in ledger.take([], 5):
        verdict = Verdict.MISSING if claim.handler == "gone" else Verdict.FAILED
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict, delay=60)])

    assert ledger.discard(event, reason="renamed", handler="there") == ("nothing to discard: it is dispatched", 0)
    assert ledger.discard(event, reason="renamed", dry_run=True) == ("discarded", 1)
    assert ledger.discard(event, reason="renamed", handler="gone") == ("discarded", 1)

    states = {run["handler"]: run["state"] for run in (query.show(ledger, event) or {})["runs"]}
    assert states == {"gone": "discarded", "there": "waiting"}
    assert ledger.client.zcard(ledger.keys.name("paused")) == 0
    assert ledger.client.zcard(ledger.keys.name("waiting")) == 1
    ledger.resume("gone")


def test_a_dispatch_that_dies_three_times_says_of_what(ledger: Ledger, event: str) -> None:
    for deaths in (1, 2, 3):
        (claim,) = ledger.take([], 1)
        assert claim.suspect == (deaths > 1)
        died = Outcome(
            unit=event, token=claim.token, verdict=Verdict.DIED, error=f"signal {deaths}", frames=("a.py:1",)
        )
        assert ledger.finish([died]) == ["died" if deaths < 3 else "dead"]

    shown = query.show(ledger, event) or {}
    assert (shown["state"], shown["cause"], shown["error"], shown["frames"]) == (
        "dead", "dispatch-died", "signal 3", ["a.py:1"],
    )  # fmt: skip
    ledger.replay(event)
    (claim,) = ledger.take([], 1)
    dispatch(ledger, claim, "dispatched", "", ["one"])
    assert (query.show(ledger, event) or {})["error"] == ""


def test_a_run_that_is_skipped_ends_its_event(ledger: Ledger, event: str) -> None:
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["one"])
    (claim,) = ledger.take([], 1)

    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.SKIPPED, error="its `when` says no")])

    shown = query.show(ledger, event) or {}
    (run,) = shown["runs"]
    assert (shown["state"], run["state"], run["attempts"], run["error"]) == (
        "done", "skipped", 0, "its `when` says no",
    )  # fmt: skip


def test_who_gives_a_place_back_wakes_the_first_in_line(ledger: Ledger, seal: Seal) -> None:
    for _ in range(3):
        accept(ledger, seal)
    for claim in ledger.take([], 3):
        dispatch(ledger, claim, "dispatched", "", ["one"])
    first, *others = ledger.take([], 3)
    second, third = sorted(others, key=lambda claim: claim.unit)

    def busy(claim: Claim) -> Outcome:
        return Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.BUSY, delay=60, slot="one", places=1)

    assert [ledger.take_place("one", 1, claim.unit) for claim in (first, second, third)] == [True, False, False]
    ledger.finish([busy(second), busy(third)])
    assert ledger.take([], 3) == []
    ledger.finish([Outcome(unit=first.unit, token=first.token, verdict=Verdict.DONE, slot="one")])

    (woken,) = ledger.take([], 3)
    assert woken.unit == second.unit
    assert ledger.take_place("one", 1, woken.unit)
    ledger.finish([Outcome(unit=woken.unit, token=woken.token, verdict=Verdict.FAILED, delay=60, slot="one")])
    (last,) = ledger.take([], 3)
    assert last.unit == third.unit
    assert not ledger.client.exists(ledger.keys.name("line:one"))


def test_a_place_that_became_free_meanwhile_is_not_waited_for(ledger: Ledger, event: str) -> None:
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["one"])
    (claim,) = ledger.take([], 1)

    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.BUSY, delay=60, slot="one", places=1)])

    assert [again.unit for again in ledger.take([], 1)] == [claim.unit]


def test_foreign_data_in_a_line_stops_nothing(ledger: Ledger, event: str) -> None:
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["one"])
    (claim,) = ledger.take([], 1)
    for name in ("line:one", "slots:one"):
        ledger.client.set(ledger.keys.name(name), "x")

    done = Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE, slot="one")

    assert ledger.finish([done]) == ["done"]


def test_no_window_holds_more_starts_than_the_rate(ledger: Ledger) -> None:
    waiting = {f"run_{number}": 0.0 for number in range(12)}
    starts = list[float]()
    while waiting:
        attempt = min(waiting, key=lambda name: waiting[name])
        time.sleep(max(0.0, waiting[attempt] - time.monotonic()))
        wait = ledger.plan_start("one", 3, 0.4, attempt)
        if wait:
            waiting[attempt] = time.monotonic() + wait
        else:
            del waiting[attempt]
            starts.append(time.monotonic())

    assert all(later - first > 0.39 for first, later in zip(starts, starts[3:], strict=False))
    assert starts[-1] - starts[0] < 0.4 * 3 + 0.3


def test_a_planned_start_is_not_planned_twice_and_lanes_are_apart(ledger: Ledger) -> None:
    assert [ledger.plan_start("one", 1, 60, name) for name in ("a", "a")] == [0, 0]
    assert 59 < ledger.plan_start("one", 1, 60, "b") <= 60
    assert 119 < ledger.plan_start("one", 1, 60, "c") <= 120
    assert 59 < ledger.plan_start("one", 1, 60, "b") <= 60
    assert ledger.plan_start("two", 1, 60, "d") == 0


@pytest.mark.parametrize("newest", [True, False])
def test_of_runs_that_come_close_together_one_starts(ledger: Ledger, seal: Seal, newest: bool) -> None:
    for _ in range(4):
        accept(ledger, seal)
        time.sleep(0.002)
    for claim in ledger.take([], 4):
        dispatch(ledger, claim, "dispatched", "", ["one"])
    units = [claim.unit for claim in sorted(ledger.take([], 4), key=lambda claim: claim.unit)]

    def ask(unit: str) -> tuple[float, str]:
        return ledger.settle_debounce("one", unit, 0.2, 5, newest)

    for unit in (units[1], units[3], units[0], units[2]):
        ask(unit)
    chosen = units[3] if newest else units[0]
    seconds, instead = ask(chosen)
    assert (0.1 < seconds <= 0.2, instead) == (True, "")
    time.sleep(0.21)
    assert {unit: ask(unit)[1] for unit in units if unit != chosen} != {}
    assert ask(chosen) == (0, "")
    assert ask(chosen) == (0, "")  # a later attempt of it
    assert all(ask(unit)[1] for unit in units if unit != chosen)


def test_a_lane_that_is_never_quiet_starts_at_last(ledger: Ledger, seal: Seal) -> None:
    for _ in range(8):
        accept(ledger, seal)
        time.sleep(0.002)
    for claim in ledger.take([], 8):
        dispatch(ledger, claim, "dispatched", "", ["one"])
    units = sorted(claim.unit for claim in ledger.take([], 8))
    began, started = time.monotonic(), ""

    for unit in units:
        if ledger.settle_debounce("one", unit, 0.1, 0.25, True) == (0, ""):
            started = unit
            break
        time.sleep(0.05)

    assert started
    assert 0.2 < time.monotonic() - began < 0.4


def test_a_run_that_is_gone_leads_nobody(ledger: Ledger, seal: Seal) -> None:
    for _ in range(2):
        accept(ledger, seal)
        time.sleep(0.002)
    for claim in ledger.take([], 2):
        dispatch(ledger, claim, "dispatched", "", ["one"])
    older, newer = sorted(claim.unit for claim in ledger.take([], 2))
    ledger.settle_debounce("one", newer, 0.05, 5, True)
    ledger.client.delete(ledger.keys.run(newer))

    seconds, instead = ledger.settle_debounce("one", older, 0.05, 5, True)

    assert (seconds > 0, instead) == (True, "")


def test_the_newest_event_of_a_lane_that_is_done_is_known(ledger: Ledger, seal: Seal) -> None:
    def handle(age: float) -> None:
        accept(ledger, seal)
        dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["one"])
        (claim,) = ledger.take([], 1)
        done = Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE, slot="one", age=age)
        ledger.finish([done])

    assert not ledger.is_stale("one", 1.5)
    for age in (1.5, 3.25, 2.0):
        handle(age)
    assert [ledger.is_stale("one", age) for age in (3.0, 3.25, 4.0)] == [True, False, False]
    ledger.client.set(ledger.keys.name("newest:one"), "junk")
    assert not ledger.is_stale("one", 1.0)
    handle(0.5)
    assert ledger.is_stale("one", 0.25)


def test_resealing_moves_the_error_of_a_dispatch(ledger: Ledger, event: str, keys: Keys) -> None:
    (claim,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=event, token=claim.token, verdict=Verdict.DIED, error="of the old key")])
    assert ledger.seal
    texts = f"{secrets.token_hex(32)},{ledger.seal._values[0]}"
    both = Seal(Secret("SEAL_KEY", texts, None), keys.queue)

    assert list(reseal_all(ledger, both, lambda opened: "")) == [(event, "moved")]

    only = Seal(Secret("SEAL_KEY", texts.partition(",")[0], None), keys.queue)
    shown = query.show(Ledger(ledger.client, keys, only), event) or {}
    assert shown["error"] == "of the old key"
