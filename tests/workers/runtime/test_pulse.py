"""The health of a worker, over HTTP and as its container asks for it."""

import signal
import time

import httpx2
import pytest

from tests.support.kit import Server, free_port, run, running, wait_for
from workers.runtime import pulse as module
from workers.runtime.pulse import Phase, Pulse


def test_phases_and_a_stall(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse = Pulse()
    assert (pulse.find_faults(), pulse.find_obstacles()) == ([], ["starting"])
    pulse.beat()
    assert (pulse.find_faults(), pulse.find_obstacles()) == ([], [])
    pulse.beat(Phase.STOPPING)
    assert (pulse.find_faults(), pulse.find_obstacles()) == ([], ["stopping"])
    pulse.beat()
    monkeypatch.setattr(module, "STALLED_SECONDS", -1)
    assert pulse.find_faults() == pulse.find_obstacles() == ["the supervisor's loop has not run for -1 s"]


def ask(port: int, path: str) -> int:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code
    except httpx2.HTTPError:
        return 0


def test_a_worker_answers_for_itself(own_server: Server, env: dict[str, str]) -> None:
    own_server.stop()
    port = free_port()
    settings = env | {"REDIS_URL": own_server.url, "METRICS_PORT": str(port), "WORKER_HANDLERS": "tests.plugins.basic"}
    with running("workers.cli", "work", env=settings) as worker:
        wait_for(lambda: ask(port, "/livez") == 200)
        assert ask(port, "/readyz") == 503  # it waits for Redis
        own_server.start()
        wait_for(lambda: ask(port, "/readyz") == 200)
        assert run("receiver.health", "worker", env=settings).returncode == 0
        assert ask(port, "/metrics") == 200
        worker.send_signal(signal.SIGTERM)
        wait_for(lambda: ask(port, "/readyz") in (503, 0))
        worker.wait(40)

    found = run("receiver.health", "worker", env=settings)
    assert (found.returncode, found.stderr[:27]) == (1, "error: no answer from 127.0")


def test_a_supervisor_that_hangs_is_told(own_server: Server, env: dict[str, str]) -> None:
    port = free_port()
    settings = env | {"REDIS_URL": own_server.url, "METRICS_PORT": str(port), "WORKER_HANDLERS": "tests.plugins.basic"}
    with running("workers.cli", "work", env=settings) as worker:
        wait_for(lambda: ask(port, "/readyz") == 200)
        worker.send_signal(signal.SIGSTOP)
        time.sleep(1)
        assert ask(port, "/livez") == 200  # a pause of some seconds is none
        worker.send_signal(signal.SIGCONT)
        wait_for(lambda: ask(port, "/readyz") == 200)
