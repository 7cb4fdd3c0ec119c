"""The handlers that come with the receiver and call nobody else, against the sandbox."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.disguise import CHANGES
from tests.support.run import Run
from tests.support.sandbox import PLENTY, Sandbox, playing
from workers import Event, GiveUp, RetryLater
from workers.context import CURRENT, Context, Lease
from workers.handlers.log_event import log_event
from workers.handlers.restart_virtual_server import restart
from workers.ledger.transitions import Ledger
from workers.sandbox.shapes import parse_shape
from workers.zyra.errors import RateLimited, Unreachable

NUMBERS = count()
Make = Callable[..., Event[Any]]


@pytest.fixture
def sandbox(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    wanted = getattr(request, "param", "")
    disguise = wanted if wanted in CHANGES else "tidy"
    with playing(tmp_path, PLENTY, shape=parse_shape("" if wanted in CHANGES else wanted), disguise=disguise) as found:
        yield found


@pytest.fixture
def event(ledger: Ledger) -> Make:
    CURRENT.set(Context(ledger, Lease(0)))

    def make(server: str = "vs_0002", name: str = "") -> Event[Any]:
        return Event(
            id=name or f"e{next(NUMBERS)}", source="zyra", type="virtual_server.error", payload={}, body=b"", headers={},
            resource_id=server, received_at=datetime.now(UTC),
        )  # fmt: skip

    return make


def asked(run: Run) -> list[str]:
    return [str(one["path"]).rpartition("/")[2] for one in run.sandbox.calls("POST")]


def becomes(run: Run, status: str) -> None:
    run.sandbox.state.areas["virtual_servers"]["vs_0002"]["status"] = status


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("error", ["stop", "start"]),
        ("running", []),
        ("starting", []),
        ("terminated", []),
        ("stopped", []),
        ("stopping", []),
    ],
)
def test_a_server_is_restarted_only_if_it_still_needs_it(
    run: Run, event: Make, status: str, expected: list[str]
) -> None:
    """If it is stopped, somebody stopped it: that must win."""
    becomes(run, status)

    restart(event(), run.attempt())

    assert asked(run) == expected


@pytest.mark.parametrize("sandbox", ["capitals"], indirect=True)
def test_a_server_in_error_is_restarted_in_any_spelling(run: Run, event: Make) -> None:
    restart(event(), run.attempt())

    assert asked(run) == ["stop", "start"]


def test_a_state_that_is_not_known_is_a_dead_letter(run: Run, event: Make) -> None:
    becomes(run, "hibernating")

    with pytest.raises(GiveUp, match="vs_0002 is in state 'hibernating', which is not known: look at it"):
        restart(event(), run.attempt())
    with pytest.raises(GiveUp, match="the event names no server"):
        restart(event(server=""), run.attempt())
    assert asked(run) == []


def test_a_start_that_fails_for_hours_is_tried_to_the_end(run: Run, event: Make, ledger: Ledger) -> None:
    """What is counted for an hour is not what tells that we have begun."""
    told = event()
    run.line.plan = ["", "500"]
    with pytest.raises(Exception, match=r"start"):
        restart(told, run.attempt())
    for name in ledger.client.scan_iter("*allow:restart:vs_0002"):
        ledger.client.delete(name)

    restart(told, run.again())

    assert asked(run) == ["stop", "start"]


@pytest.mark.parametrize("fault", ["unsent", "500"])
def test_a_later_attempt_goes_on_where_the_first_stopped_the_server(run: Run, event: Make, fault: str) -> None:
    told = event()
    run.line.plan = ["", fault]
    with pytest.raises(Exception, match=r"start"):
        restart(told, run.attempt())

    restart(told, run.again())

    assert asked(run) == ["stop", "start"]


@pytest.mark.parametrize("sandbox", ["stop=slow"], indirect=True)
@pytest.mark.parametrize("fault", ["", "unsent"])
def test_a_server_that_takes_its_time_to_stop_is_started_then(run: Run, event: Make, fault: str) -> None:
    """It is `stopping` meanwhile, and cannot be started yet."""
    told = event()
    run.line.plan = ["", fault]
    with pytest.raises(RetryLater if not fault else Unreachable):
        restart(told, run.attempt())
    becomes(run, "stopping")
    with pytest.raises(RetryLater, match="is being stopped"):
        restart(told, run.again())
    becomes(run, "stopped")

    restart(told, run.again())

    assert asked(run) == ["stop", "start"]


def test_a_server_that_a_person_stopped_between_two_attempts_stays_so(run: Run, event: Make) -> None:
    """Also if the first attempt was about to stop it."""
    told = event()
    run.line.plan = ["unsent"]
    with pytest.raises(Unreachable):
        restart(told, run.attempt())
    becomes(run, "stopped")

    restart(told, run.again())

    assert asked(run) == []


def test_an_attempt_that_got_no_answer_at_all_has_done_nothing(
    run: Run, event: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, first = event(), run.attempt()
    monkeypatch.setattr(first.virtual_servers, "get", spent)
    with pytest.raises(RateLimited):
        restart(told, first)
    becomes(run, "stopped")

    restart(told, run.again())

    assert asked(run) == []


def spent(server: str) -> None:
    raise RateLimited(0, "budget", "is spent")


def test_two_events_of_a_server_are_one_restart(run: Run, event: Make) -> None:
    """Both have read that it is in error before either acts."""
    restart(event(), run.attempt())
    becomes(run, "error")

    with pytest.raises(RetryLater):
        restart(event(), run.attempt())

    assert asked(run) == ["stop", "start"]


def test_an_error_of_the_api_is_an_error(run: Run, event: Make) -> None:
    run.line.plan = ["500"]
    with pytest.raises(Exception, match="500"):
        restart(event(), run.attempt())


def test_the_fourth_restart_within_an_hour_is_a_persons_turn(run: Run, event: Make, ledger: Ledger) -> None:
    for _ in range(3):
        assert ledger.allow("restart:vs_0002", 3, 3600)

    with pytest.raises(GiveUp, match="three times"):
        restart(event(), run.attempt())


def test_every_event_is_logged(event: Make, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_event(event("vs_1"))

    assert caplog.records[0].resource == "vs_1"  # type: ignore[attr-defined]
