"""A line for each delivery, of a real receiver."""

import json
import signal
import time
from collections.abc import Callable
from typing import Any

import httpx2

from tests.support.kit import free_port, payload, running, signed, wait_for
from tests.support.receiver import post, up

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def log_of(act: Callable[[httpx2.Client], None], **env: str) -> list[dict[str, Any]]:
    """What a receiver writes into its log while somebody speaks to it."""
    port = free_port()
    settings = {"PORT": str(port), "DRAIN_SECONDS": "0", **env}
    with running("workers.cli", "serve", env=settings) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http:
            wait_for(lambda: up(http))
            act(http)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def choose(lines: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["text"] == text]


def test_each_delivery_is_one_line(env: dict[str, str]) -> None:
    body, answers = payload(id="vs_1"), list[Any]()
    more = {"x-request-id": "req-1", "traceparent": TRACE}

    lines = log_of(lambda http: answers.extend(post(http, body, signed(body) | more) for _ in range(2)))

    first, second = choose(lines, "delivery")
    assert (first["verdict"], second["verdict"]) == ("accepted", "duplicate")
    assert first["event"] == second["event"] == answers[0].json()["id"]
    assert (first["source"], first["request_id"], first["traceparent"], first["level"]) == (
        "zyra",
        "req-1",
        TRACE,
        "info",
    )
    assert (first["resource"], first["status"]) == ("vs_1", 202)
    assert {"type", "ms", "delivery_id", "time", "logger"} < first.keys()
    assert [answer.headers["x-request-id"] for answer in answers] == ["req-1"] * 2
    assert answers[0].headers["traceparent"] == TRACE


def test_nothing_of_a_header_that_is_too_long_comes_back(env: dict[str, str]) -> None:
    body, answers = payload(), list[Any]()

    log_of(lambda http: answers.append(post(http, body, signed(body) | {"x-request-id": "r" * 201})))

    assert (answers[0].status_code, "x-request-id" in answers[0].headers) == (202, False)


def test_refused_deliveries_are_sampled_with_their_client(env: dict[str, str]) -> None:
    answers = list[Any]()

    def forge(http: httpx2.Client) -> None:
        headers = {"x-forwarded-for": "198.51.100.7", "x-request-id": "req-2"}
        for _ in range(20):
            answers.append(http.post("/webhooks/zyra", content=b"{}", headers=headers))
        http.post("/webhooks/nobody", content=b"{}")
        time.sleep(1.1)
        http.post("/webhooks/zyra", content=b"{}")

    lines = choose(log_of(forge, TRUSTED_PROXIES="127.0.0.0/8"), "delivery refused")

    assert [(line["source"], line["status"], line["cause"]) for line in lines] == [
        ("zyra", 401, "missing"), ("", 404, "source"), ("zyra", 401, "missing"),
    ]  # fmt: skip
    assert (lines[0]["client"], lines[0]["request_id"]) == ("198.51.100.7", "req-2")
    assert (lines[2]["client"], lines[2]["not_logged"]) == ("127.0.0.1", 19)
    assert answers[0].headers["x-request-id"] == "req-2"


def test_who_does_not_want_lines_gets_none(env: dict[str, str]) -> None:
    lines = log_of(lambda http: post(http, payload()) and None, LOG_DELIVERIES="off")

    assert choose(lines, "delivery") == []
