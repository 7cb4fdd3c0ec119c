"""The handlers that come with the receiver, against the sandbox."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from workers import Event, GiveUp
from workers.context import CURRENT, Context, Lease
from workers.handlers.log_event import log_event
from workers.handlers.restart_virtual_server import restart
from workers.ledger import Ledger

NUMBERS = count()


class Servers:
    """Remembers what it was asked, and answers as told."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.asked: list[str] = []

    def get(self, server: str) -> dict[str, Any]:
        return {"id": server, "status": self.status}

    def stop(self, server: str) -> None:
        self.asked.append("stop")

    def start(self, server: str) -> None:
        self.asked.append("start")


class Client:
    def __init__(self, status: str) -> None:
        self.virtual_servers = Servers(status)


@pytest.fixture
def event(ledger: Ledger) -> Callable[[int], Event]:
    CURRENT.set(Context(ledger, Lease(0)))

    def make(attempt: int = 1) -> Event:
        return Event(
            id=f"e{next(NUMBERS)}", source="zyra", type="virtual_server.error", payload={}, resource_id="vs_1", body=b"", headers={},
            received_at=datetime.now(UTC), attempt=attempt,
        )  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("status", "attempt", "asked"),
    [
        ("error", 1, ["stop", "start"]),
        ("running", 1, []),
        ("terminated", 1, []),
        ("stopped", 1, []),  # somebody stopped it: that must win
        ("stopped", 2, ["start"]),  # an earlier attempt got no further
    ],
)
def test_a_server_is_restarted_only_if_it_still_needs_it(
    event: Callable[[int], Event], status: str, attempt: int, asked: list[str]
) -> None:
    client: Any = Client(status)

    restart(event(attempt), client)

    assert client.virtual_servers.asked == asked


def test_the_fourth_restart_within_an_hour_is_a_persons_turn(event: Callable[[int], Event]) -> None:
    client: Any = Client("error")
    for _ in range(3):
        restart(event(1), client)

    with pytest.raises(GiveUp, match="three times"):
        restart(event(1), client)


def test_every_event_is_logged(event: Callable[[int], Event], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        log_event(event(1))

    assert caplog.records[0].resource == "vs_1"  # type: ignore[attr-defined]
