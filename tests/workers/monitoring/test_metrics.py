"""The ledger as Prometheus text."""

import os
import signal
import time
from importlib import metadata

import httpx2
import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

from receiver.contract.connection import connect
from receiver.contract.figures import read_counters
from receiver.contract.keys import Keys
from receiver.contract.ledger_metrics import LedgerCollector, read_handlers
from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch, free_port, wait_for
from workers.cli.commands.work import export
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.runtime.pulse import Pulse
from workers.runtime.tallies import DURATIONS_SECONDS, observe


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


def test_what_is_counted_by_handler_becomes_counters_and_histograms(ledger: Ledger, client: redis.Redis) -> None:
    counters = {
        "handler:done:a:b": 5, "handler:failed:a:b": 1, "seconds:0.1:a:b": 3, "seconds:5:a:b": 2, "seconds:ms:a:b": 6200,
        "start:inf:a:b": 1, "start:junk:a:b": 9, "untyped:zyra": 4, "attempts_done": 5,
    }  # fmt: skip
    client.hset(ledger.keys.name("counters"), mapping=counters)  # type: ignore[arg-type]
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger.client, ledger.keys, "receiver"))
    value = registry.get_sample_value

    assert value("zr_handler_attempts_total", {"handler": "a:b", "outcome": "done"}) == 5
    assert value("zr_handler_seconds_bucket", {"handler": "a:b", "le": "0.1"}) == 3
    assert value("zr_handler_seconds_bucket", {"handler": "a:b", "le": "5"}) == 5
    assert value("zr_handler_seconds_count", {"handler": "a:b"}) == 5
    assert value("zr_handler_seconds_sum", {"handler": "a:b"}) == 6.2
    assert value("zr_start_seconds_bucket", {"handler": "a:b", "le": "+Inf"}) == 1
    assert value("zr_build_info", {"version": metadata.version("zyra-receiver"), "role": "receiver"}) == 1
    assert value("zr_ledger_total", {"what": "untyped:zyra"}) is None


def test_series_of_handlers_are_bounded() -> None:
    (attempts, *_) = read_handlers({f"handler:done:h{number}": 1 for number in range(300)})

    assert len(attempts.samples) == 200


def test_the_time_to_drain_follows_the_rate(
    ledger: Ledger, seal: Seal, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector, now = LedgerCollector(client, ledger.keys, "worker"), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    assert collector._compute_drain(0, {}, 0) == 0
    assert collector._compute_drain(50, {}, 7.0) == 7.0  # nothing ends: as long as the oldest has waited
    for _ in range(30):
        now[0] += 1
        collector._compute_drain(50, {"attempts_done": int(now[0] - 1000) * 10}, 7.0)
    assert collector._compute_drain(50, {"attempts_done": 300}, 7.0) == pytest.approx(5, rel=0.1)


def test_a_run_is_counted_with_its_times(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    accept(ledger, seal, kind="basic.two")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["good"])
    (claim,) = ledger.take([], 1)
    tallies = observe("seconds", "good", 0.2, DURATIONS_SECONDS)
    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DONE, tallies=tallies)])

    counters = read_counters(client, ledger.keys)
    assert {"handler:done:good": 1, "seconds:0.5:good": 1, "seconds:ms:good": 200}.items() <= counters.items()
