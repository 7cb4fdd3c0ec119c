"""Small rooms: the pipe, the lazy package, the metrics of a ledger, queries of what is not there."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest
import redis
from prometheus_client import CollectorRegistry, generate_latest

import workers
from receiver.contract.connection import connect
from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch, free_port, wait_for
from workers.cli.commands.work import export
from workers.ledger import query
from workers.ledger.transitions import Ledger, Outcome, Ticket, Verdict
from workers.monitoring.metrics import LedgerCollector
from workers.runtime.pipe import pair
from workers.runtime.recorder import Recorder
from workers.runtime.worker import Worker, as_list
from workers.settings import read


def test_a_pipe_carries_messages_until_its_end_is_gone() -> None:
    one, two = pair()
    one.send(a=1)
    one.send(b=[2])

    assert two.receive() == [{"a": 1}, {"b": [2]}]
    one.close()
    assert two.receive() is None
    two.send(c=3)  # nobody is there; that shows where we receive
    two.close()
    assert two.receive() is None


def test_the_package_has_what_it_says_and_nothing_else() -> None:
    assert all(getattr(workers, name) for name in workers.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        workers.nothing  # noqa: B018


def test_the_ledgers_metrics(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    assert registry.get_sample_value("zr_oldest_seconds") == 0
    event = accept(ledger, seal)
    client.hset(ledger.keys.event(event), "queued_at", 1000)
    client.hset(
        ledger.keys.named("counters"), mapping={"attempts_done": 3, "events_dead": 1, "overlaps": 2, "junk": "x"}
    )

    value = registry.get_sample_value
    assert value("zr_events", {"state": "accepted"}) == 1
    assert value("zr_oldest_seconds") > 1e9  # type: ignore[operator]
    assert value("zr_attempts_total", {"outcome": "done"}) == 3
    assert value("zr_events_ended_total", {"state": "dead"}) == 1
    assert value("zr_ledger_total", {"what": "overlaps"}) == 2
    assert value("zr_ledger_up") == 1


def test_metrics_without_redis() -> None:
    registry = CollectorRegistry()
    registry.register(LedgerCollector(Ledger(connect("redis://127.0.0.1:1/0"), Keys("q"))))

    assert generate_latest(registry).decode().splitlines()[-1] == "zr_ledger_up 0.0"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # pytest has threads, `work` has none
def test_metrics_have_a_process_of_their_own(ledger: Ledger) -> None:
    assert export("127.0.0.1", 0, ledger) == 0
    port = free_port()
    pid = export("127.0.0.1", port, ledger)
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


def test_queries_survive_junk(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    event = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    run = f"{event}-" + client.hget(ledger.keys.event(event), "runs").decode()
    client.delete(ledger.keys.run(run))
    client.set(ledger.keys.run(run), "junk")

    found = query.show(ledger, event)

    assert found is not None
    assert found["runs"][0]["state"] == "missing"
    assert query.show(ledger, "no id") is None
    assert query.show(ledger, "evt_" + "0" * 26) is None


def test_a_worker_serves_one_queue(client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match="exactly one queue"):
        Worker(["a", "b"], connection=client).work()
    assert as_list("a") == ["a"]


@pytest.mark.parametrize("key", ["two\nlines", "é", "with space"])
def test_a_key_that_cannot_stand_in_a_header_is_refused(env: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigurationError, match="ZYRA_API_KEY must be a key"):
        read(env | {"ZYRA_API_KEY": key})


def test_empty_handler_names_are_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="WORKER_HANDLERS is empty"):
        read(env | {"WORKER_HANDLERS": "a,,b"})


@pytest.mark.parametrize("value", ["x", "-1", "5", "1.5", ""])
def test_a_process_needs_some_memory(value: str) -> None:
    env = {"SEAL_KEY": bytes(range(32)).hex(), "WORKER_HANDLERS": "a"}

    with pytest.raises(ConfigurationError, match="WORKER_MEMORY must be MiB"):
        read(env | {"WORKER_MEMORY": value})
    assert read(env | {"WORKER_MEMORY": "512"}).memory == 512 << 20
    assert read(env).memory == 0


def test_ends_that_come_one_by_one_are_recorded_together(ledger: Ledger) -> None:
    calls: list[int] = []

    class Counting(Ledger):
        def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
            calls.append(len(outcomes))
            return super().finish(outcomes)

    ended: list[Ticket] = []
    mine, theirs = pair()
    recorder = Recorder(Counting(ledger.client, ledger.keys), mine, 0, lambda units, told: ended.extend(units))
    recorder.start()
    for number in range(40):
        recorder.put(Outcome(unit=f"evt_{number:026d}-{0:012x}", token=1, verdict=Verdict.DONE))
        time.sleep(0.0005)
    recorder.stop()
    theirs.close()
    mine.close()

    assert len(ended) == 40
    assert len(calls) < 30


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"ZYRA_API_LIMITS": "create=0"}, "ZYRA_API_LIMITS must be like create=5"),
        ({"ZYRA_API_LIMITS": "none=5"}, "ZYRA_API_LIMITS must be like"),
        ({"ZYRA_API_MINUTE": "soon"}, "ZYRA_API_MINUTE must be the seconds"),
        ({"ZYRA_API_MINUTE": "0"}, "ZYRA_API_MINUTE must be the seconds"),
        ({"ZYRA_API_ROUTES": "/nonexistent"}, "ZYRA_API_ROUTES cannot be read"),
        ({"ZYRA_API_USER": "a@example.com"}, "ZYRA_API_USER and ZYRA_API_PASSWORD go together"),
        ({"ZYRA_API_USER": "a@example.com", "ZYRA_API_PASSWORD": "pw"}, "are both set: keep one"),
        ({"ZYRA_SCIM_TOKEN": "a b"}, "ZYRA_SCIM_TOKEN must be printable"),
    ],
)
def test_what_is_wrong_with_the_settings_of_the_api(env: dict[str, str], told: str, seal_key: str) -> None:
    base = {"SEAL_KEY": seal_key, "WORKER_HANDLERS": "a", "ZYRA_API_KEY": "zyra_sk_1"}

    with pytest.raises(ConfigurationError, match=told):
        read(base | env)


def test_the_settings_of_the_api(seal_key: str, tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('"devices.get" = "GET /v2/devices/{id}"\n')
    base = {"SEAL_KEY": seal_key, "WORKER_HANDLERS": "a", "ZYRA_API_LIMITS": "read=60, bulk=7"}

    found = read(base | {"ZYRA_API_MINUTE": "30", "ZYRA_API_ROUTES": str(tmp_path / "r.toml"), "ZYRA_SCIM_TOKEN": "s"})

    assert (found.api_limits.create, found.api_limits.read, found.api_limits.bulk) == (5, 60, 7)
    assert found.api_minute == 30
    assert found.api_routes is not None
    assert found.api_routes["devices.get"].path == "/v2/devices/{id}"
