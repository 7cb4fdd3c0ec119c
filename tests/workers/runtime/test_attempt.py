from collections.abc import Callable
from typing import Any

import pytest
import redis
from msgspec.structs import replace

from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.kit import accept, dispatch
from workers import GiveUp, RetryLater, Router
from workers.errors import LeaseLost
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Outcome, Verdict
from workers.runtime.attempt import Attempt, conclude, draw_backoff, judge_failure, judge_timeout, prepare


def boom(event: Any) -> bool:
    raise KeyError("n")


@pytest.fixture
def router() -> Router:
    found = Router()
    found.on("virtual_server.error", name="h")(lambda event: None)
    found.on("device.online", name="other")(lambda event: None)
    found.on("virtual_server.error", name="single", concurrency=1)(lambda event: None)
    found.on("virtual_server.error", name="no", when=lambda event: False)(lambda event: None)
    found.on("virtual_server.error", name="boom", when=boom, max_attempts=1)(lambda event: None)
    return found


@pytest.fixture
def claim(ledger: Ledger, seal: Seal) -> Callable[[str], Claim]:
    def make(handler: str) -> Claim:
        accept(ledger, seal, b'{"data": {"id": "vs_1"}}')
        (one,) = ledger.take([], 1)
        dispatch(ledger, one, "dispatched", "", [handler])
        return ledger.take([], 1)[0]

    return make


Make = Callable[[str], Claim]


def test_an_attempt_is_ready_with_its_event(claim: Make, router: Router, seal: Seal, ledger: Ledger) -> None:
    ready = prepare(claim("h"), router, seal, ledger)

    assert isinstance(ready, Attempt)
    assert (ready.event.resource_id, ready.event.attempt, ready.handler.name) == ("vs_1", 1, "h")


@pytest.mark.parametrize(
    ("handler", "verdict", "said"),
    [
        ("gone", Verdict.MISSING, "no-such-handler"),
        ("other", Verdict.REFUSED, "is not for zyra virtual_server.error"),
        ("no", Verdict.SKIPPED, "`when` says no"),
        ("boom", Verdict.DEAD, "KeyError: 'n'"),
    ],
)
def test_why_an_attempt_does_not_start(
    claim: Make, router: Router, seal: Seal, ledger: Ledger, handler: str, verdict: Verdict, said: str
) -> None:
    ready = prepare(claim(handler), router, seal, ledger)

    assert isinstance(ready, Outcome)
    assert ready.verdict is verdict
    assert said in ready.error


def test_a_run_that_was_given_another_handler_is_refused(
    claim: Make, router: Router, seal: Seal, ledger: Ledger
) -> None:
    ready = prepare(replace(claim("h"), handler="single"), router, seal, ledger)

    assert isinstance(ready, Outcome)
    assert ready.verdict is Verdict.REFUSED


def test_a_flipped_byte_anywhere_in_the_record_is_refused(
    claim: Make, router: Router, seal: Seal, ledger: Ledger, client: redis.Redis
) -> None:
    one = claim("h")
    key = ledger.keys.event(one.event)
    before = client.hgetall(key)
    for field in (b"source", b"type", b"received_at", b"delivery_id", b"origin"):
        client.hset(key, mapping={field: b"1" + before.get(field, b"delivery")})
        found = ledger.claim_alone(one.unit, one.token)
        assert found is not None
        ready = prepare(found, router, seal, ledger)
        assert isinstance(ready, Outcome)
        assert (ready.verdict, "altered" in ready.error) == (Verdict.REFUSED, True)
        client.hset(key, mapping={field: before.get(field, b"delivery")})
    body = ledger.keys.body(one.event)
    client.setrange(body, 20, bytes([client.getrange(body, 20, 20)[0] ^ 1]))
    found = ledger.claim_alone(one.unit, one.token)
    assert found is not None
    assert isinstance(prepare(found, router, seal, ledger), Outcome)


def test_a_key_that_is_not_known_waits_for_ever(claim: Make, router: Router, ledger: Ledger) -> None:
    ready = prepare(claim("h"), router, Seal(Secret("S", bytes(range(32)).hex(), None)), ledger)

    assert isinstance(ready, Outcome)
    assert (ready.verdict, ready.delay) == (Verdict.BUSY, 60)


def test_a_place_that_is_taken_is_waited_for(claim: Make, router: Router, seal: Seal, ledger: Ledger) -> None:
    one, two = claim("single"), claim("single")

    assert isinstance(prepare(one, router, seal, ledger), Attempt)
    ready = prepare(two, router, seal, ledger)
    assert isinstance(ready, Outcome)
    assert ready.verdict is Verdict.BUSY


@pytest.mark.parametrize(
    ("error", "failures", "verdict"),
    [
        (ValueError("x"), 0, Verdict.FAILED),
        (ValueError("x"), 7, Verdict.DEAD),
        (GiveUp("x"), 0, Verdict.DEAD),
        (RetryLater(7), 7, Verdict.LATER),
        (LeaseLost("x"), 7, Verdict.HANDED),
        (SystemExit(1), 0, Verdict.FAILED),
    ],
)
def test_what_an_exception_means(
    claim: Make, router: Router, error: BaseException, failures: int, verdict: Verdict
) -> None:
    handler = router.get("h")
    assert handler is not None

    found = judge_failure(replace(claim("h"), failures=failures), handler, error)

    assert found.verdict is verdict
    assert verdict is not Verdict.LATER or found.delay == 7


def test_a_dead_letter_logs_its_traceback_and_keeps_what_led_to_it(
    claim: Make, router: Router, seal: Seal, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ready = prepare(claim("h"), router, seal, ledger)
    assert isinstance(ready, Attempt)
    given_up = GiveUp("nobody books XYZ")
    given_up.__cause__ = KeyError("XYZ")

    found = conclude(ready, given_up, log_errors=True)

    assert (found.verdict, found.error) == (Verdict.DEAD, "GiveUp: nobody books XYZ (from KeyError: 'XYZ')")
    (record,) = [record for record in caplog.records if "attempt ended" in record.message]
    assert (record.levelname, record.exc_info and record.exc_info[1]) == ("ERROR", given_up)


def test_messages_of_exceptions_are_not_logged_unless_wanted(
    claim: Make, router: Router, seal: Seal, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ready = prepare(claim("h"), router, seal, ledger)
    assert isinstance(ready, Attempt)
    number = "4111"
    try:
        raise ValueError(f"card {number}")
    except ValueError as error:
        found = conclude(ready, error)

    (record,) = [record for record in caplog.records if "attempt ended" in record.message]
    assert "4111" not in str(vars(record))
    assert record.message.startswith("attempt ended: ValueError at test_attempt.py:")
    assert "test_attempt.py" in vars(record)["traceback"]
    assert found.error == "ValueError: card 4111"


def test_a_late_attempt_is_an_ordinary_failure(claim: Make, router: Router) -> None:
    handler = router.get("h")
    assert handler is not None

    found = judge_timeout(claim("h"), handler)

    assert (found.verdict, found.error) == (Verdict.FAILED, "TimeoutError: not done after 60 s")


def test_back_off_grows_to_six_hours() -> None:
    for failures, wait in [(0, 5), (1, 20), (2, 80), (3, 320), (6, 20480), (7, 21600), (500, 21600)]:
        assert 0.8 * wait <= draw_backoff(failures) <= 1.2 * wait


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_told_still_ends_the_attempt(claim: Make, router: Router, ledger: Ledger) -> None:
    handler = router.get("h")
    assert handler is not None

    found = judge_failure(claim("h"), handler, Unprintable())

    assert (found.verdict, found.error) == (Verdict.FAILED, "Unprintable")
    surrogate = judge_failure(claim("h"), handler, ValueError("\ud800"))
    assert ledger.finish([surrogate]) == ["failed"]


def test_retry_later_is_bounded() -> None:
    assert [RetryLater(value).seconds for value in (-5, float("nan"), float("inf"))] == [0, 0, 3 * 86400]
    assert str(RetryLater(5)) == "again in 5 s"
