"""Receiver, worker and their health checks in control groups as small as people's containers. Needs root and cgroups."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx2
import pytest

from tests.support.kit import ROOT, free_port, payload, signed, wait_for
from tests.support.receiver import up

pytestmark = [pytest.mark.container, pytest.mark.timeout(180)]
CGROUPS = Path("/sys/fs/cgroup")
IS_V2 = (CGROUPS / "cgroup.controllers").exists()
CHECKS = 20


class Group:
    """A control group: v2, or of v1 one for the memory and one for the processor."""

    def __init__(self, name: str, memory_mib: int, cpu: float) -> None:
        self.folders = [CGROUPS / name] if IS_V2 else [CGROUPS / kind / name for kind in ("memory", "cpu")]
        self.processes: list[subprocess.Popen[bytes]] = []
        for folder in self.folders:
            folder.mkdir()
        limit, quota = str(memory_mib << 20), int(cpu * 100_000)
        if IS_V2:
            (self.folders[0] / "memory.max").write_text(limit)
            (self.folders[0] / "cpu.max").write_text(f"{quota} 100000")
        else:
            (self.folders[0] / "memory.limit_in_bytes").write_text(limit)
            (self.folders[1] / "cpu.cfs_period_us").write_text("100000")
            (self.folders[1] / "cpu.cfs_quota_us").write_text(str(quota))

    def start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        process = self._start(*command, **env)
        self.processes.append(process)
        return process

    def _start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        return subprocess.Popen(
            ["sh", "-c", f'{enter}; exec "$@"', "sh", sys.executable, *command],
            env={**os.environ, **env}, cwd=ROOT, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def count_kills(self) -> int:
        name = "memory.events" if IS_V2 else "memory.oom_control"
        words = dict(line.split() for line in (self.folders[0] / name).read_text().splitlines())
        return int(words["oom_kill"])

    @property
    def peak_mib(self) -> float:
        name = "memory.peak" if IS_V2 else "memory.max_usage_in_bytes"
        return int((self.folders[0] / name).read_text()) / 2**20

    def end(self) -> None:
        for folder in self.folders:
            for pid in (folder / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.wait(10)
        for folder in self.folders:
            wait_for(partial(is_removed, folder))


def is_removed(folder: Path) -> bool:
    """Whether the group is gone: it can go once its last process has."""
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


@contextmanager
def grouped(name: str, memory_mib: int, cpu: float = 0.25) -> Iterator[Group]:
    group = Group(f"zr-test-{os.getpid()}-{name}", memory_mib, cpu)
    try:
        yield group
    finally:
        group.end()


def check(group: Group, *arguments: str, **env: str) -> float:
    """Seconds of one health check, which must find its process alive."""
    started = time.monotonic()
    process = group.start("-m", "receiver.health", *arguments, **env)
    assert process.wait(30) == 0
    return time.monotonic() - started


def test_a_receiver_lives_in_64_mib_and_its_check_takes_less_than_a_second(env: dict[str, str]) -> None:
    port = free_port()
    own = {"PORT": str(port), "METRICS_PORT": str(free_port()), "HOST": "127.0.0.1"}
    with grouped("receiver", 64) as group, httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
        process = group.start("-m", "workers.cli", "serve", **own)
        wait_for(lambda: up(http), 60)
        seconds = []
        for _ in range(CHECKS):
            for _ in range(10):
                body = payload()
                assert http.post("/webhooks/zyra", content=body, headers=signed(body)).status_code == 202
            seconds.append(check(group, **own))

        print(f"receiver: checks {min(seconds):.2f} to {max(seconds):.2f} s, {group.peak_mib:.0f} MiB at most")
        assert process.poll() is None
        assert group.count_kills() == 0
        assert sorted(seconds)[CHECKS // 2] < 1
        assert max(seconds) < 5, "the timeout of the image's check"


def test_a_worker_lives_in_96_mib_under_its_checks(env: dict[str, str]) -> None:
    port = free_port()
    own = {"METRICS_PORT": str(port), "HOST": "127.0.0.1"}
    with grouped("worker", 96) as group:
        process = group.start("-m", "workers.cli", "work", **own)
        wait_for(lambda: is_ready(port), 60)
        seconds = [check(group, "worker", **own) for _ in range(CHECKS)]

        print(f"worker: checks {min(seconds):.2f} to {max(seconds):.2f} s, {group.peak_mib:.0f} MiB at most")
        assert process.poll() is None
        assert group.count_kills() == 0
        assert sorted(seconds)[CHECKS // 2] < 1


def is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False
