"""When 503s begin and end: one line each, whatever comes between."""

import time

import pytest

from receiver.outage import REASONS, Outage


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_an_outage_is_one_line_at_its_begin_and_one_at_its_end(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    outage = Outage()
    outage.look("")
    for _ in range(105):
        outage.look("Redis does not answer")
        for _ in range(4):
            outage.count("redis", "zyra")
        clock[0] += 1
    assert outage.reason == "Redis does not answer"
    for _ in range(4):
        outage.look("")
        clock[0] += 1

    assert outage.reason == ""
    assert [record.getMessage() for record in caplog.records] == [
        "deliveries get 503: Redis does not answer",
        "deliveries are accepted again after 104 s; 420 got 503",
    ]


def test_what_comes_and_goes_is_one_outage(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    for _ in range(60):
        outage.count("slow", "zyra")
        outage.look("")
        clock[0] += 1
        outage.look("")
        clock[0] += 1

    assert len(caplog.records) == 1


def test_the_trouble_of_one_source_is_told_as_its_own(caplog: pytest.LogCaptureFixture) -> None:
    Outage().count("key", "paypal")

    assert caplog.records[0].getMessage() == "deliveries get 503: source paypal: the provider's keys cannot be fetched"


def test_every_cause_has_a_sentence() -> None:
    causes = {"slow", "busy", "full", "memory", "durability", "fault", "junk", "key", "visit", "secret-file", "redis"}

    assert causes < set(REASONS)
