"""Redis, receivers and workers as real processes; only what was started here is ended."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from tests.kit import ROOT, answers, free_port, wait_for
from workers.cli.embedded import redis_command
from workers.ledger import Ledger

from .proxy import Proxy


class World:
    def __init__(self, folder: Path, *, keep: bool = True, dedup: bool = True) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.log.touch()
        self.keep = keep
        self.kills = 0
        self.redis: subprocess.Popen[bytes] | None = None
        self.start_redis()
        self.proxy = Proxy(str(folder / "redis.sock"))
        config = folder / "sources.toml"
        window = "" if dedup else 'dedup_window = "0"\n'
        config.write_text(f'[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\n{window}')
        self.env = os.environ | {
            "REDIS_URL": f"unix://{folder}/redis.sock",
            "DURABILITY": "always" if keep else "none",
            "SEAL_KEY": "00112233445566778899aabbccddeeff" * 2,
            "ZYRA_WEBHOOK_SECRET": "test-secret",
            "RECEIVER_CONFIG": str(config),
            "WORKER_HANDLERS": "tests.faults.handlers",
            "FAULT_LOG": str(self.log),
            "METRICS_PORT": "0",
            "DRAIN_SECONDS": "1",
            "LOG_LEVEL": "error",
            "PYTHONPATH": str(ROOT),
        }
        self.ledger = Ledger(connect(f"unix://{folder}/redis.sock"), Keys("events"))
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def through_proxy(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0"}

    def start_redis(self) -> None:
        command = redis_command(self.folder, self.folder / "redis.sock")
        if not self.keep:
            command[command.index("--appendonly") + 1] = "no"
        self.redis = subprocess.Popen(command)
        client = connect(f"unix://{self.folder}/redis.sock")
        wait_for(lambda: answers(client))
        client.close()

    def kill_redis(self) -> None:
        assert self.redis
        self.redis.kill()
        self.redis.wait()

    def receiver(self, **env: str) -> tuple[str, subprocess.Popen[bytes]]:
        """Its base URL, and the process, once it is ready."""
        port = free_port()
        return f"http://127.0.0.1:{port}", self.receiver_on(port, **env)

    def receiver_on(self, port: int, **env: str) -> subprocess.Popen[bytes]:
        process = self._start("serve", PORT=str(port), **env)
        wait_for(lambda: ready(f"http://127.0.0.1:{port}"))
        return process

    def worker(self, *options: str, **env: str) -> subprocess.Popen[bytes]:
        return self._start("work", *options, **env)

    def _start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "workers.cli", *command], env=self.env | env, cwd=ROOT)
        self.processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        self.kills += 1
        process.kill()
        process.wait()

    def settled(self, seconds: float = 60) -> float:
        """Seconds until nothing is queued or running any more."""
        started = time.monotonic()
        wait_for(self.ledger.idle, seconds)
        return time.monotonic() - started

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if process.poll() is None:
                process.kill()
                process.wait()
        self.ledger.client.close()
        self.kill_redis()


def ready(base: str) -> bool:
    try:
        return httpx2.get(f"{base}/readyz", trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


@contextlib.contextmanager
def world(*, keep: bool = True, dedup: bool = True) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="zr-") as folder:
        found = World(Path(folder), keep=keep, dedup=dedup)
        try:
            yield found
        finally:
            found.end()
