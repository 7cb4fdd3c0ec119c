"""The operator's table: how many seconds after each fault its cause is named."""

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.support.cluster import Cluster
from tests.support.kit import accept, free_port, payload, signed, wait_for

from .world import World

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
MOST_SECONDS = 60.0  # until a cause is named everywhere where it is to be
WRONG = {"x-zyra-signature": "0" * 64}


@dataclass
class Operator:
    """Looks at a world whose receiver and workers run: at health, status, log and metrics."""

    here: World
    began: float = 0.0
    seconds: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    metrics_port: int = field(default_factory=free_port)
    worker_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def serve(self, **env: str) -> None:
        self.here.receiver_on(self.port, METRICS_PORT=str(self.metrics_port), LOG_LEVEL="info", **env)

    def work(self, **env: str) -> object:
        return self.here.worker(METRICS_PORT=str(self.worker_port), LOG_LEVEL="info", **env)

    def send(self, kind: str = "basic.one", headers: dict[str, str] | None = None) -> int:
        body = payload()
        sent = headers or signed(body, kind)
        return httpx2.post(f"{self.url}/webhooks/zyra", content=body, headers=sent, trust_env=False).status_code

    def read(self, place: str) -> str:
        if place == "health":
            answer = httpx2.get(f"{self.url}/healthz", trust_env=False, timeout=10)
            return f"{answer.status_code} {answer.text}"
        if place == "status":
            return self.here.run("status") + self.here.run("check")
        if place == "log":
            return self.here.errors.read_text(errors="replace")
        port = self.metrics_port
        return httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10).text

    def begin(self) -> None:
        self.began = time.monotonic()

    def expect(self, **words: str) -> None:
        """Waits until each place says these words, a regular expression, and notes after how many seconds."""
        for place, pattern in words.items():
            wait_for(partial(self.says, place, pattern), MOST_SECONDS)
            self.seconds[place] = f"{time.monotonic() - self.began:.0f} s"
        assert time.monotonic() - self.began < MOST_SECONDS

    def says(self, place: str, pattern: str) -> bool:
        return re.search(pattern, self.try_to_read(place)) is not None

    def try_to_read(self, place: str) -> str:
        try:
            return self.read(place)
        except httpx2.HTTPError:
            return ""


def disk_full(operator: Operator) -> None:
    operator.serve(DURABILITY="everysec")
    operator.send()
    operator.begin()
    operator.here.redis.fill_disk(0)
    for _ in range(20):
        operator.send()
    operator.expect(
        health="503.*cannot write to its disk", log="deliveries get 503: Redis cannot write to its disk",
        metrics='zr_accepting 0|zr_unavailable_total{cause="misconf"', status="cannot write to its disk",
    )  # fmt: skip


def too_many_pending(operator: Operator) -> None:
    operator.serve(MAX_PENDING="5")
    operator.begin()
    for _ in range(6):
        operator.send()
    operator.expect(
        health="503.*MAX_PENDING is 5: do workers run", log="deliveries get 503: .*MAX_PENDING",
        metrics="zr_accepting 0", status="! 1 receivers answer 503: .*MAX_PENDING is 5(.|\n)*! no worker: 5",
    )  # fmt: skip


def workers_dead(operator: Operator) -> None:
    operator.serve()
    worker = operator.work()
    wait_for(lambda: "zr_workers 1.0" in operator.try_to_read("metrics"))
    operator.begin()
    operator.here.kill(worker)  # type: ignore[arg-type]
    operator.send()
    operator.expect(metrics="zr_workers 0", status="! no worker: 1, since ")


def handler_failing(operator: Operator) -> None:
    operator.serve()
    operator.work(WORKER_HANDLERS="tests.plugins.canary")
    operator.begin()
    for _ in range(5):
        operator.send("canary")
    operator.expect(
        status="! canary fails: [5-9] of [5-9] attempts in 5 min, ValueError at canary.py:",
        log="attempt ended: ValueError at canary.py:",
        metrics='zr_handler_attempts_total{handler="canary",outcome="failed"} 5',
    )


def secret_wrong(operator: Operator) -> None:
    operator.serve()
    operator.begin()
    for _ in range(10):
        operator.send(headers=WRONG)
    operator.expect(
        status="! source zyra: 10 of 10 deliveries refused in 5 min, wrong: 10\n *wrong secret",
        log='"text": "delivery refused".*"cause": "wrong"',
        metrics='zr_refused_total{cause="wrong",source="zyra",status="401"} 10',
    )


def redis_restarted(operator: Operator) -> None:
    operator.serve()
    operator.begin()
    operator.here.redis.kill()
    assert operator.send() == 503
    operator.expect(health="503.*Redis does not answer", log="deliveries get 503: Redis does not answer")
    operator.here.redis.start()
    operator.expect(log="deliveries are accepted again after [0-9]+ s; [1-9][0-9]* got 503", health="200")


def cluster_mode(operator: Operator) -> None:
    cluster = operator.here.add(Cluster(operator.here.folder / "cluster"))
    operator.here.env["REDIS_URL"] = cluster.url
    operator.begin()
    operator.serve()
    assert operator.send() == 202
    operator.expect(health='200.*"redis":"cluster"', status="Redis: cluster")


def history_full(operator: Operator) -> None:
    """Redis is full of finished events and nothing pends: they go, and not one delivery is refused."""
    here, ledger = operator.here, operator.here.ledger
    assert ledger.seal
    operator.serve()
    operator.work()
    here.redis.client.config_set("maxmemory", here.redis.client.info("memory")["used_memory"] + 4_000_000)
    operator.begin()
    refused = sum(operator.send("unhandled.kind") != 202 for _ in range(200))
    for _ in range(1500):
        if ledger.client.info("memory")["used_memory"] > 0.93 * ledger.client.info("memory")["maxmemory"]:
            time.sleep(0.2)
        accept(ledger, ledger.seal, os.urandom(4000), kind="unhandled.kind")
    refused += sum(operator.send("unhandled.kind") != 202 for _ in range(200))
    operator.expect(
        log="finished events deleted before their time", status="deleted early because Redis was short of memory: [0-9]+ bodies",
        metrics='zr_ledger_total{what="bodies_shed"}',
    )  # fmt: skip
    assert refused == 0


def silent_source(operator: Operator) -> None:
    config = Path(operator.here.env["RECEIVER_CONFIG"])
    config.write_text(config.read_text() + 'expect_every = "5s"\n')
    operator.begin()
    operator.serve()
    operator.expect(
        status="! source zyra: no delivery for [0-9]+ s, ever",
        metrics='zr_source_overdue_seconds{source="zyra"} [0-9.]*[1-9]',
    )


def clock_wrong(operator: Operator) -> None:
    operator.serve()
    operator.begin()
    operator.here.clock("+2m")
    operator.expect(
        metrics="zr_clock_difference_seconds -1[12][0-9]",
        status="! the clock of this machine differs from that of Redis by -1[12][0-9] s",
    )


FAULTS: dict[Callable[[Operator], None], dict[str, str]] = {
    disk_full: {"durability": "everysec"},
    too_many_pending: {},
    workers_dead: {},
    handler_failing: {},
    secret_wrong: {},
    clock_wrong: {"clock": "+0"},
    redis_restarted: {},
    cluster_mode: {"durability": "none"},
    history_full: {},
    silent_source: {},
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as found:
        yield Path(found)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault.__name__))
def test_the_cause_of_each_fault_is_named_within_a_minute(fault: Callable[[Operator], None], folder: Path) -> None:
    with ExitStack() as stack:
        here = World(folder, **FAULTS[fault])
        stack.callback(here.end)
        operator = Operator(here)
        fault(operator)

    print(fault.__name__, operator.seconds)
