"""The shared budget, in a real Redis. A minute lasts 0.5 s here, and the margin 0.1 s."""

import secrets
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from receiver.contract.connection import connect_again
from workers.zyra import budget as module
from workers.zyra.budget import Budget, compute_fingerprint, make_prefix
from workers.zyra.routes import Limit, Limits

SMALL = Limits(create=2, read=6, bulk=3)
WINDOW_SECONDS = 0.6
SPACING_SECONDS = WINDOW_SECONDS / SMALL.read


@pytest.fixture
def budget(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Budget:
    monkeypatch.setattr(module, "MARGIN_SECONDS", 0.1)
    return Budget(client, SMALL, 0.5)


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)


def takes(budget: Budget, key: str, number: int, who: str = "a", limit: Limit = Limit.READ) -> list[bool]:
    return [budget.take(key, limit, who, f"{who}{n}").seconds == 0 for n in range(number)]


def demand(budget: Budget, key: str, seconds: float, who: str = "a", at_once: int = 8) -> list[float]:
    """What calls get that come back when they are told to, for a while: the time of each that could be made."""
    made, until = list[float](), time.monotonic() + seconds

    def call(name: int) -> None:
        client = connect_again(budget.client, "{api}")
        mine, number = Budget(client, budget.limits, budget.minute), 0
        while time.monotonic() < until:
            wait = mine.take(key, Limit.READ, who, f"{who}{name}-{number}").seconds
            if wait:
                time.sleep(min(wait, max(0.0, until - time.monotonic())))
            else:
                number += 1
                made.append(time.monotonic())
        client.close()

    threads = [threading.Thread(target=call, args=[name]) for name in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(made)


def most_within(made: list[float], seconds: float) -> int:
    return max(sum(begin <= at < begin + seconds for at in made) for begin in made)


def test_each_class_of_a_key_has_its_own_window(budget: Budget, key: str) -> None:
    assert takes(budget, key, 4) == [True] * 3 + [False]  # half of it at once
    assert takes(budget, key, 2, limit=Limit.CREATE) == [True, False]
    assert takes(budget, key + "other", 1) == [True]


def test_more_demand_than_budget_is_spread_over_the_minute(budget: Budget, key: str) -> None:
    made = demand(budget, key, 1.9)

    assert most_within(made, WINDOW_SECONDS - 0.02) <= SMALL.read
    assert most_within(made[3:], SPACING_SECONDS) <= 2  # no burst but the first
    assert len(made) >= 13  # of 18


def test_a_budget_that_rested_may_be_spent_at_once_again(budget: Budget, key: str) -> None:
    takes(budget, key, 4)
    time.sleep(2 * WINDOW_SECONDS)

    assert takes(budget, key, 4, "b") == [True] * 3 + [False]


def test_those_who_wait_are_told_one_after_the_other(budget: Budget, key: str) -> None:
    takes(budget, key, 3)

    waits = [budget.take(key, Limit.READ, "a", f"w{n}").seconds for n in range(14)]

    assert waits == sorted(waits)
    assert 12.5 * SPACING_SECONDS < waits[-1] - waits[0] < 14 * SPACING_SECONDS
    again = budget.take(key, Limit.READ, "a", "w13").seconds
    assert again <= waits[-1]  # who asks twice stands in the line once


def test_one_busy_handler_does_not_starve_another(budget: Budget, key: str) -> None:
    made: dict[str, list[float]] = {}
    busy = threading.Thread(target=lambda: made.update(busy=demand(budget, key, 2.5, "busy", 12)))
    busy.start()
    made["rare"] = demand(budget, key, 2.4, "rare", 1)
    busy.join()

    assert len(made["rare"]) >= 5  # a fifth at least of the 24, though it is one of 13 that ask


def test_newcomers_do_not_pass_those_who_were_told_to_come(client: redis.Redis, key: str) -> None:
    budget = Budget(client, SMALL, 4)  # a place is kept free for 0.25 s
    takes(budget, key, 3)
    told = [budget.take(key, Limit.READ, "a", f"old{n}").seconds for n in range(4)]
    time.sleep(told[0] + 0.01)

    assert budget.take(key, Limit.READ, "a", "new").seconds > 0
    assert budget.take(key, Limit.READ, "a", "old0").seconds == 0
    assert budget.take(key, Limit.READ, "a", "old1").seconds < told[1]  # its place is the one it had


def test_who_does_not_come_back_loses_his_place(budget: Budget, key: str) -> None:
    takes(budget, key, 6)  # three of them wait
    time.sleep(3 * SPACING_SECONDS + WINDOW_SECONDS / 10)

    assert budget.take(key, Limit.READ, "a", "new").seconds == 0
    time.sleep(WINDOW_SECONDS)
    takes(budget, key, 4, "b")
    assert budget.take(key, Limit.READ, "a", "newer").seconds < 2 * SPACING_SECONDS  # he stands in no line any more


def test_zyras_own_word_holds_all_back(budget: Budget, key: str) -> None:
    budget.hold(key, Limit.READ, 0.25)
    budget.hold(key, Limit.READ, 0.01)  # another answer said less

    found = budget.take(key, Limit.READ, "a", "t")

    assert 0.15 < found.seconds <= 0.25
    assert takes(budget, key, 1, limit=Limit.CREATE) == [True]
    assert budget.read_limit(key, Limit.READ) == 6  # nothing has disproved it
    time.sleep(found.seconds + 0.01)
    assert [budget.take(key, Limit.READ, "a", ticket).seconds == 0 for ticket in "tuv"] == [True, False, False]


def test_a_429_lowers_the_limit_once_and_it_rises_slowly(budget: Budget, key: str) -> None:
    takes(budget, key, 3)

    assert [budget.lower(key, Limit.READ, 0.2), budget.lower(key, Limit.READ, 0.2)] == [2, 2]
    assert budget.read_limit(key, Limit.CREATE) == 2
    time.sleep(0.2 + 4.2 * WINDOW_SECONDS)  # in each window by a twentieth of 6
    assert budget.read_limit(key, Limit.READ) == 3


def test_a_429_after_few_calls_lowers_to_a_quarter_and_never_to_nothing(client: redis.Redis, key: str) -> None:
    budget = Budget(client, Limits(create=1, read=100), 60)

    assert budget.lower(key, Limit.READ, 0) == 25
    assert budget.lower(key, Limit.CREATE, 0) == 1
    assert 0.9 < budget.take(key, Limit.CREATE, "a", "t").seconds <= 1  # however little Retry-After says


def test_after_the_first_hold_there_is_one_429_a_window_at_most(budget: Budget, key: str) -> None:
    """The server's limit is a third of ours."""
    answered, refused, lock = list[float](), list[float](), threading.Lock()

    def call(name: int) -> None:
        client = connect_again(budget.client, "{api}")
        mine, number = Budget(client, budget.limits, budget.minute), 0
        while time.monotonic() < until:
            wait = mine.take(key, Limit.READ, "a", f"{name}-{number}").seconds
            if not wait:
                number += 1
                with lock:
                    now = time.monotonic()
                    fresh = [at for at in answered if at > now - budget.minute]
                    (answered if len(fresh) < 2 else refused).append(now)
                    wait = fresh[0] + budget.minute - now if len(fresh) >= 2 else 0
                if wait:
                    mine.lower(key, Limit.READ, wait)
            time.sleep(wait)
        client.close()

    until = time.monotonic() + 4
    threads = [threading.Thread(target=call, args=[name]) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    later = [at for at in refused if at > refused[0] + budget.minute / 2]
    assert later == [] or most_within(later, budget.minute) == 1
    assert len(answered) >= 7  # of 16


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
    takes(budget, key, 5, "workers.handlers.a b")
    budget.lower(key, Limit.BULK, 10)

    create, read, bulk = sorted(budget.list_waiting(key), key=lambda one: ["create", "read", "bulk"].index(one.limit))

    assert (create.left, create.most, create.who) == (2, 2, {})
    assert (read.left, read.who) == (3, {"workers.handlers.a-b": 2})
    assert (bulk.left, bulk.most, bulk.believed, 9 < bulk.held <= 10) == (1, 1, 3, True)


def test_nothing_stays_for_ever(budget: Budget, key: str, client: redis.Redis) -> None:
    takes(budget, key, 8)
    budget.refuse(key)
    budget.lower(key, Limit.READ, 1)

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
