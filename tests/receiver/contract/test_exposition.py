"""Metrics as text: one that cannot be written is an answer and a line in the log, and not the end."""

import logging
import socket

import httpx2
import pytest
from prometheus_client import CollectorRegistry, Counter

from receiver.contract import exposition


class Broken:
    def collect(self) -> list[object]:
        raise KeyError("x")


def ask(listener: socket.socket) -> httpx2.Response:
    return httpx2.get("http://{}:{}/metrics".format(*listener.getsockname()), timeout=5, trust_env=False)


def test_a_metric_that_cannot_be_written_is_500(caplog: pytest.LogCaptureFixture) -> None:
    registry = CollectorRegistry()
    Counter("zr_test", "x", registry=registry).inc()
    listener = exposition.listen("127.0.0.1", 0)
    exposition.serve_in_thread(listener, registry)
    assert "zr_test_total 1.0" in ask(listener).text
    broken = Broken()
    registry.register(broken)  # type: ignore[arg-type]

    with caplog.at_level(logging.ERROR):
        found = ask(listener)

    assert (found.status_code, found.text) == (500, "see the log\n")
    assert "the metrics cannot be written" in caplog.text
    registry.unregister(broken)  # type: ignore[arg-type]
    assert ask(listener).status_code == 200


def test_probes_answer_beside_the_metrics() -> None:
    reasons: list[str] = []
    here = exposition.Exposition(CollectorRegistry(), {"/livez": lambda: reasons})

    assert here._respond(b"GET /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
    reasons.append("it hangs")
    answer = here._respond(b"GET /livez HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503")
    assert answer.endswith(b'{"status": "unavailable", "reasons": ["it hangs"]}')
