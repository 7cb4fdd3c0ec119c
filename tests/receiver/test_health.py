"""The health check of a container: light, and right about what it says."""

import subprocess
import sys

import httpx2
import pytest

from receiver import health
from tests.support.kit import ROOT, free_port
from tests.support.receiver import serving


def test_a_receiver_that_answers(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(REDIS_URL="redis://127.0.0.1:1/0") as http:  # a restart would not help
        monkeypatch.setenv("PORT", str(httpx2.URL(str(http.base_url)).port))
        monkeypatch.setenv("HOST", "0.0.0.0")

        assert health.main() == 0


def test_nobody_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    monkeypatch.setenv("METRICS_PORT", port)
    monkeypatch.setenv("METRICS_HOST", "127.0.0.1")

    assert health.main("worker") == 1
    assert f"no answer from 127.0.0.1:{port}/livez" in capsys.readouterr().err


def test_what_cannot_be_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_PORT", "0")

    assert [health.main("cook"), health.main("worker")] == [2, 2]
    told = capsys.readouterr().err
    assert "there is no role 'cook': receiver or worker" in told
    assert "METRICS_PORT is 0" in told


def test_another_answer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(health, "ask", lambda host, port: 503)

    assert health.main() == 1
    assert "answers 503" in capsys.readouterr().err


def test_it_imports_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import receiver.health; print(*(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert {"receiver", "receiver.health", "socket"} <= set(found.stdout.split())
    assert not {name.partition(".")[0] for name in found.stdout.split()} & {
        "redis",
        "typer",
        "httpx2",
        "msgspec",
        "asyncio",
    }
