"""The shared budget, in a real Redis. A minute lasts 0.2 s here, and the margin with it."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator

import pytest
import redis

from workers.zyra import budget as module
from workers.zyra.budget import Budget, compute_fingerprint, make_prefix
from workers.zyra.routes import Limit, Limits

SMALL = Limits(create=2, read=6, bulk=3)


@pytest.fixture
def budget(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Budget:
    monkeypatch.setattr(module, "MARGIN_SECONDS", 0.1)
    return Budget(client, SMALL, 0.2)


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)


def takes(budget: Budget, key: str, number: int, who: str = "a", limit: Limit = Limit.READ) -> list[bool]:
    return [budget.take(key, limit, who, f"{who}{n}").seconds == 0 for n in range(number)]


def test_each_class_of_a_key_has_its_own_window(budget: Budget, key: str) -> None:
    assert takes(budget, key, 7) == [True] * 6 + [False]
    assert takes(budget, key, 3, limit=Limit.CREATE) == [True, True, False]
    assert takes(budget, key + "other", 1) == [True]


def test_room_comes_back_as_the_window_moves(budget: Budget, key: str) -> None:
    assert takes(budget, key, 2, limit=Limit.CREATE) == [True, True]
    found = budget.take(key, Limit.CREATE, "a", "t")

    assert 0.2 < found.seconds <= 0.301
    time.sleep(found.seconds)
    assert budget.take(key, Limit.CREATE, "a", "t").seconds == 0


def test_those_who_wait_are_told_one_window_after_the_other(budget: Budget, key: str) -> None:
    takes(budget, key, 6)

    waits = [budget.take(key, Limit.READ, "a", f"w{n}").seconds for n in range(14)]

    assert [int(wait / 0.301) for wait in waits] == [0] * 6 + [1] * 6 + [2] * 2
    again = budget.take(key, Limit.READ, "a", "w13").seconds
    assert again < 0.301 * 3  # who asks twice stands in the line once


def test_one_busy_handler_does_not_starve_another(budget: Budget, key: str) -> None:
    assert takes(budget, key, 60, "busy").count(True) == 6
    assert takes(budget, key, 1, "rare") == [False]
    time.sleep(0.31)
    made: Counter[str] = Counter()
    for n in range(12):
        for who, ticket in (("busy", f"busy{n}"), ("busy", f"busy{n + 20}"), ("rare", f"rare{n}")):
            made[who] += budget.take(key, Limit.READ, who, ticket).seconds == 0

    assert made == {"busy": 3, "rare": 3}


def test_newcomers_do_not_pass_those_who_were_told_to_come(budget: Budget, key: str) -> None:
    takes(budget, key, 6)
    told = [budget.take(key, Limit.READ, "a", f"old{n}").seconds for n in range(8)]
    time.sleep(max(told[:6]) + 0.01)

    assert budget.take(key, Limit.READ, "a", "new").seconds > 0
    assert [budget.take(key, Limit.READ, "a", f"old{n}").seconds == 0 for n in range(6)] == [True] * 6
    assert budget.take(key, Limit.READ, "a", "old6").seconds < 0.61  # its place is the one it had


def test_zyras_own_word_holds_all_back(budget: Budget, key: str) -> None:
    budget.hold(key, Limit.READ, 0.25)
    budget.hold(key, Limit.READ, 0.01)  # another answer said less
    budget.hold(key, Limit.CREATE, 0)

    found = budget.take(key, Limit.READ, "a", "t")

    assert 0.15 < found.seconds <= 0.25
    assert takes(budget, key, 1, limit=Limit.CREATE) == [True]
    time.sleep(found.seconds + 0.01)
    assert takes(budget, key, 1) == [True]


def test_a_refused_key_is_tried_by_one_call_each_pause(budget: Budget, key: str) -> None:
    assert [budget.refuse(key), budget.refuse(key)] == [True, False]
    assert budget.take(key, Limit.READ, "a", "t").refused
    assert budget.is_refused(key)
    time.sleep(budget.pause + 0.02)
    first, second = budget.take(key, Limit.READ, "a", "t"), budget.take(key, Limit.READ, "a", "u")
    assert (first.seconds, first.refused, second.refused) == (0, False, True)
    assert [budget.accept(key), budget.accept(key)] == [True, False]
    assert takes(budget, key, 1) == [True]


def test_what_is_left_and_who_waits(budget: Budget, key: str) -> None:
    takes(budget, key, 8, "workers.handlers.a b")
    budget.hold(key, Limit.BULK, 10)

    create, read, bulk = sorted(budget.list_waiting(key), key=lambda one: ["create", "read", "bulk"].index(one.limit))

    assert (create.left, create.most, create.who) == (2, 2, {})
    assert (read.left, read.who) == (0, {"workers.handlers.a-b": 2})
    assert (bulk.left, 9 < bulk.held <= 10) == (3, True)


def test_nothing_stays_for_ever(budget: Budget, key: str, client: redis.Redis) -> None:
    takes(budget, key, 8)
    budget.refuse(key)
    budget.hold(key, Limit.READ, 1)

    names = list(client.scan_iter(make_prefix(key) + "*"))

    assert len(names) >= 6
    assert all(client.pttl(name) != -1 for name in names)  # -2: it has gone already


def test_a_key_is_called_by_its_digest() -> None:
    assert compute_fingerprint("zyra_sk_1") != compute_fingerprint("zyra_sk_2")
    assert "zyra" not in compute_fingerprint("zyra_sk_1")


@pytest.fixture(autouse=True)
def clean(client: redis.Redis, key: str) -> Iterator[None]:
    yield
    for name in client.scan_iter(f"zr::{{api}}:{key}*"):
        client.delete(name)
    client.delete(module.REFUSED_KEYS)
