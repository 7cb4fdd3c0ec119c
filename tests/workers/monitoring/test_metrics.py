"""The ledger as Prometheus text."""

import os
import signal

import httpx2
import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.ledger_metrics import LedgerCollector
from receiver.contract.seal import Seal
from tests.support.kit import accept, free_port, wait_for
from workers.cli.commands.work import export
from workers.ledger.transitions import Ledger
from workers.runtime.pulse import Pulse


def test_the_ledgers_metrics(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger.client, ledger.keys, "worker"))
    assert registry.get_sample_value("zr_oldest_seconds") == 0
    event = accept(ledger, seal)
    client.hset(ledger.keys.event(event), "queued_at", 1000)
    client.hset(
        ledger.keys.name("counters"), mapping={"attempts_done": 3, "events_dead": 1, "overlaps": 2, "junk": "x"}
    )

    value = registry.get_sample_value
    assert value("zr_events", {"state": "accepted"}) == 1
    assert value("zr_oldest_seconds") > 1e9
    assert value("zr_attempts_total", {"outcome": "done"}) == 3
    assert value("zr_events_ended_total", {"state": "dead"}) == 1
    assert value("zr_ledger_total", {"what": "overlaps"}) == 2
    assert value("zr_ledger_up") == 1


def test_metrics_without_redis() -> None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(connect("redis://127.0.0.1:1/0", "{q}"), Keys("q"), "receiver"))

    assert generate_latest(registry).decode().splitlines()[-1] == "zr_ledger_up 0.0"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # pytest has threads, `work` has none
def test_metrics_have_a_process_of_their_own(ledger: Ledger) -> None:
    assert export("127.0.0.1", 0, ledger, Pulse()) == 0
    port = free_port()
    pid = export("127.0.0.1", port, ledger, Pulse())
    try:
        assert "zr_ledger_up 1.0" in wait_for(lambda: fetch(port))
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


def fetch(port: int) -> str:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx2.HTTPError:
        return ""
