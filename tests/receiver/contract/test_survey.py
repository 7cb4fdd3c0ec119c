"""What `status` makes of odd things in the ledger; tests/workers/ledger/test_causes.py has the causes."""

import time

import pytest
import redis

from receiver.contract.figures import measure_overdue
from receiver.contract.keys import Keys
from receiver.contract.ledger_facts import format_ms, read_reason
from receiver.contract.survey import survey
from receiver.contract.troubles import describe_seconds, find_since, list_refusing


def test_finished_events_of_all_sources_are_history(client: redis.Redis, keys: Keys) -> None:
    client.hset(keys.name("keeps"), mapping={"a": "1 ", "b": " 1"})
    client.zadd(keys.name("final"), {"x": 1})
    client.zadd(keys.name("final:a"), {"y": 1, "z": 1})

    assert survey(client, keys).counts["final"] == 3


def test_a_cause_whose_record_is_gone_is_not_told(client: redis.Redis, keys: Keys) -> None:
    client.zadd(keys.name("causes"), {"gone": int(time.time() * 1000), "old": 1})
    client.hset(keys.name("cause:old"), mapping={"handler": "h", "count": "1", "first": "1"})

    assert survey(client, keys).causes == []


@pytest.mark.parametrize("refusal", [None, b"junk", b"[]", b'{"cause": "wrong"}', b'{"cause": "stale", "reason": "r"}'])
def test_a_reason_that_is_none_of_the_cause_is_not_told(refusal: object) -> None:
    assert read_reason(refusal, "wrong") == ""


@pytest.mark.parametrize(("seconds", "words"), [(3, "3 s"), (150, "2 min"), (7200, "2 h"), (300_000, "3 d")])
def test_times_are_told_in_the_unit_that_fits(seconds: float, words: str) -> None:
    assert describe_seconds(seconds) == words


def test_a_moment_that_is_none_is_the_first_one() -> None:
    assert format_ms(0) == format_ms(10**18) == "1970-01-01T00:00:00.000Z"


def test_an_empty_index_began_at_no_time(client: redis.Redis, keys: Keys) -> None:
    assert find_since(client, keys, "dead") == find_since(client, keys, "") == ""


def test_a_source_is_overdue_by_the_seconds_after_its_time(client: redis.Redis, keys: Keys) -> None:
    now = time.time()
    ms = int(now * 1000)
    client.hset(keys.name("expected"), mapping={"late": f"1000 {ms} {ms}", "fine": f"9000 {ms} {ms}", "junk": "x"})
    client.hset(keys.name("heard"), mapping={"late": ms - 5000, "fine": ms - 5000})

    overdue = measure_overdue(client, keys, now)

    assert overdue["late"] == pytest.approx(4, abs=0.1)
    assert overdue["fine"] == 0
    assert "junk" not in overdue


def test_a_receiver_that_left_in_order_is_not_missed_and_one_that_died_is(client: redis.Redis, keys: Keys) -> None:
    assert survey(client, keys).stuck == []
    client.zadd(keys.name("receivers"), {"host:1": int((time.time() - 60) * 1000)})
    client.hset(keys.name("refusing"), "host:1", "Redis loads its data")

    assert [trouble.what for trouble in survey(client, keys).stuck] == ["no receiver"]


def test_why_receivers_answer_503_is_told(client: redis.Redis, keys: Keys) -> None:
    now = int(time.time() * 1000)
    client.zadd(keys.name("receivers"), {"host:1": now, "host:2": now})
    client.hset(keys.name("refusing"), mapping={"host:1": "Redis is a replica", "host:2": "Redis is a replica"})

    assert [trouble.what for trouble in survey(client, keys).stuck] == ["2 receivers answer 503: Redis is a replica"]


def test_a_clock_that_is_wrong_is_told(client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    here = time.time()
    monkeypatch.setattr("receiver.contract.troubles.time.time", lambda: here - 30)

    assert [trouble.what for trouble in survey(client, keys).stuck] == [
        "the clock of this machine differs from that of Redis by -30 s"
    ]


def test_a_disk_that_is_full_is_told_first(client: redis.Redis, keys: Keys) -> None:
    first, *_ = list_refusing(client, keys, time.time(), {"aof_last_write_status": "err"})

    assert (first.what, first.do) == (
        "Redis cannot write to its disk: deliveries get 503", "is the disk full? see its log",
    )  # fmt: skip
