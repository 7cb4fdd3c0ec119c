"""Why attempts failed, what was kept of each, and what is paused: in the ledger, and as people read it."""

import time

import pytest
import redis

from receiver.contract.keys import hash_handler
from receiver.contract.seal import Seal
from receiver.contract.survey import survey
from tests.support.kit import accept, dispatch, find_readable, make_runs
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.ledger.units import Cause, Claim, Outcome, Verdict

BOOM = Cause(
    handler="op.note", kind="RuntimeError", place="handlers.py:12", words="no disk", path=("handlers.py note",)
)


def begin(ledger: Ledger, seal: Seal, handler: str = "op.note") -> Claim:
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", [handler])
    return ledger.take([], 1)[0]


def fail(ledger: Ledger, claim: Claim, cause: Cause = BOOM, verdict: Verdict = Verdict.FAILED) -> None:
    delay = 60.0 if verdict is Verdict.FAILED else 0.0
    ended = Outcome(
        unit=claim.unit, token=claim.token, verdict=verdict, delay=delay, error="RuntimeError: card 4111",
        frames=("handlers.py:12 in note: raise",), cause=cause, ms=1500,
    )  # fmt: skip
    assert ledger.finish([ended]) == [verdict]


def test_failures_of_one_cause_are_one_line(ledger: Ledger, seal: Seal) -> None:
    for n in range(30):
        words = ("no disk", "no net", "no cpu")[n % 3]
        fail(
            ledger,
            begin(ledger, seal),
            Cause(handler="op.note", kind="RuntimeError", place="handlers.py:12", words=words),
        )

    found = survey(ledger.client, ledger.keys)

    assert [(one.failed, one.ended, one.total, one.new) for one in found.causes] == [(10, 30, 10, True)] * 3
    (trouble,) = [one for one in found.stuck if "fails" in one.what]
    assert trouble.what == "op.note fails: 30 of 30 attempts in 5 min, RuntimeError at handlers.py:12"


def test_a_cause_names_its_last_event_and_its_next_attempt(ledger: Ledger, seal: Seal) -> None:
    claim = begin(ledger, seal)

    fail(ledger, claim)

    (cause,) = survey(ledger.client, ledger.keys).causes
    assert (cause.event, cause.handler, cause.place) == (claim.event, "op.note", "handlers.py:12")
    assert query.parse_time(cause.next_attempt) / 1000 == pytest.approx(time.time() + 60, abs=5)


def test_a_handler_that_fails_sometimes_is_listed_and_no_trouble(ledger: Ledger, seal: Seal) -> None:
    for _ in range(5):
        claim = begin(ledger, seal)
        ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE)])
    fail(ledger, begin(ledger, seal))

    found = survey(ledger.client, ledger.keys)

    assert [(one.failed, one.ended) for one in found.causes] == [(1, 6)]
    assert found.stuck == []


def test_a_handler_whose_runs_only_wait_still_fails(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    for _ in range(3):
        fail(ledger, begin(ledger, seal))
    for name in client.scan_iter(ledger.keys.name("recent:*")):
        client.delete(name)  # as if that were an hour ago

    (trouble,) = survey(ledger.client, ledger.keys).stuck
    assert trouble.what.startswith("op.note fails: 0 of 0 attempts")

    claim = begin(ledger, seal)
    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE)])
    assert survey(ledger.client, ledger.keys).stuck == [], "it did something well since"


def test_causes_are_bounded(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    for n in range(210):
        words = f"sentence {chr(97 + n % 26)}{chr(97 + n // 26)}"
        fail(ledger, begin(ledger, seal), Cause(handler="h", kind="E", words=words), Verdict.DEAD)

    assert client.zcard(ledger.keys.name("causes")) == 200
    assert len(list(client.scan_iter(ledger.keys.name("cause:*")))) == 200
    assert sum(one.total for one in survey(ledger.client, ledger.keys).causes) == 209, "the first one made room"


def test_each_attempt_keeps_when_where_and_how(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    claim = begin(ledger, seal)
    fail(ledger, claim)
    client.zadd(ledger.keys.name("waiting"), {claim.unit: 1})
    ledger.sweep()
    (again,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=again.unit, token=again.token, verdict=Verdict.DONE, ms=20)])

    event = query.show(ledger, claim.event)
    assert event is not None
    first, second = event["runs"][0]["past"]
    assert (first["attempt"], first["outcome"], first["seconds"], first["host"]) == (1, "failed", 1.5, ledger.host)
    assert (first["error"], first["frames"]) == ("RuntimeError: card 4111", ["handlers.py:12 in note: raise"])
    assert (second["attempt"], second["outcome"], second["seconds"], second["error"]) == (2, "done", 0.02, "")
    assert query.parse_time(first["began_at"]) / 1000 == pytest.approx(time.time() - 1.5, abs=5)
    assert query.parse_time(event["finished_at"]) / 1000 == pytest.approx(time.time(), abs=5)


def test_the_last_attempts_are_kept(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    claim = begin(ledger, seal)
    for _ in range(14):
        fail(ledger, claim)
        client.zadd(ledger.keys.name("waiting"), {claim.unit: 1})
        ledger.sweep()
        (claim,) = ledger.take([], 1)

    event = query.show(ledger, claim.event)
    assert event is not None
    assert [one["attempt"] for one in event["runs"][0]["past"]] == list(range(5, 15))


def test_an_attempt_whose_worker_died_is_kept_as_lost(ledger: Ledger, seal: Seal) -> None:
    claim = begin(ledger, seal)
    ledger.renew([claim.ticket], lease=0)
    time.sleep(0.002)
    ledger.sweep()

    event = query.show(ledger, claim.event)
    assert event is not None
    assert [one["outcome"] for one in event["runs"][0]["past"]] == ["lost"]


def test_no_word_of_an_error_stands_readable_in_redis(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    fail(ledger, begin(ledger, seal))
    fail(ledger, begin(ledger, seal), verdict=Verdict.DEAD)

    assert find_readable(client, ledger.keys, ["card 4111", "no disk"]) == []


def test_a_ledger_without_a_seal_keeps_no_error(ledger: Ledger, seal: Seal) -> None:
    claim = begin(ledger, seal)
    fail(Ledger(ledger.client, ledger.keys), claim)

    event = query.show(ledger, claim.event)
    assert event is not None
    assert event["runs"][0]["error"] == ""


def test_junk_in_the_past_of_a_run_hides_nothing_else(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    claim = begin(ledger, seal)
    client.hset(ledger.keys.run(claim.unit), "past", b"\xc1junk")
    event = query.show(ledger, claim.event)
    assert event is not None
    assert event["runs"][0]["past"] == []

    fail(ledger, claim)

    event = query.show(ledger, claim.event)
    assert event is not None
    assert len(event["runs"][0]["past"]) == 1


# --- pauses


def test_runs_of_a_paused_handler_wait_and_others_do_not(ledger: Ledger, seal: Seal) -> None:
    assert ledger.pause("a", "its API is down")
    assert not ledger.pause("a")
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a", "b"])

    claims = ledger.take([], 10)

    assert [claim.handler for claim in claims] == ["b"]
    (pause,) = survey(ledger.client, ledger.keys).paused
    assert (pause.handler, pause.runs) == ("a", 1)
    ledger.finish([Outcome(unit=claims[0].unit, token=1, verdict=Verdict.DONE)])
    found = query.show(ledger, claims[0].event)
    assert found is not None
    assert (found["state"], [run["state"] for run in found["runs"]]) == ("dispatched", ["paused", "done"])


def test_a_first_run_does_not_begin_at_once_while_its_handler_is_paused(ledger: Ledger, seal: Seal) -> None:
    from workers.ledger.units import Decision

    ledger.pause("a")
    accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    decision = Decision(unit=claim.unit, token=claim.token, verdict="dispatched", runs=make_runs(["a"], "a"))

    assert ledger.finish_dispatches([decision]) == [["dispatched"]]
    assert ledger.take([], 10) == []


def test_resume_queues_all_that_waited(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    ledger.pause("a")
    ledger.pause("b")
    for handler in ("a", "b") * 3:
        accept(ledger, seal)
        dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", [handler])
        ledger.take([], 10)

    assert ledger.resume("a", "it is up again") == 3
    assert [claim.handler for claim in ledger.take([], 10)] == ["a", "a", "a"]
    assert ledger.resume("a") is None
    assert client.zcard(ledger.keys.name("paused")) == 3
    audit = [line.decode() for line in client.lrange(ledger.keys.name("audit"), 0, -1)]
    assert '"action": "resume", "event": "a", "reason": "it is up again"' in audit[0]


def test_many_runs_are_resumed_in_parts(ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.ledger.transitions.MAX_SWEPT", 2)
    ledger.pause("a")
    for _ in range(5):
        accept(ledger, seal)
        dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
        ledger.take([], 10)

    assert ledger.resume("a") == 5


def test_a_running_attempt_of_a_paused_handler_ends_as_ever(ledger: Ledger, seal: Seal) -> None:
    claim = begin(ledger, seal, "a")
    ledger.pause("a")

    assert ledger.finish([Outcome(unit=claim.unit, token=1, verdict=Verdict.DONE)]) == ["done"]


def test_a_run_that_no_worker_has_a_handler_for_is_told_at_once(ledger: Ledger, seal: Seal) -> None:
    claim = begin(ledger, seal, "gone.handler")
    ledger.finish([Outcome(unit=claim.unit, token=1, verdict=Verdict.MISSING, delay=60)])

    (trouble,) = survey(ledger.client, ledger.keys).stuck

    assert trouble.what == "no worker has the handler gone.handler"
    assert hash_handler("gone.handler") in claim.unit
