"""A fresh Redis and the processes of one measurement. Only what was started here is ended, by its own process group."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import redis

from tests.support.kit import ROOT, answers, children_of, free_port, wait_for
from workers.cli.embedded import make_redis_command

TICK = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Process:
    """One process and its children."""

    popen: subprocess.Popen[bytes]

    def tree(self) -> list[int]:
        found = [self.popen.pid]
        for pid in found:
            found += children_of(pid)
        return found

    def cpu(self) -> float:
        """Seconds of processor time so far, of it and all below it."""
        total = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
                total += sum(int(value) for value in fields[11:15])
        return total / TICK

    def memory(self) -> float:
        """MiB of proportional set size, likewise."""
        total = 0
        for pid in self.tree():
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        return total / 1024

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGTERM)
        try:
            self.popen.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.popen.wait()


class Stage:
    """fsync: everysec or always."""

    def __init__(self, folder: Path, fsync: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.log: IO[bytes] = (folder / "log").open("ab")
        self._processes: list[Process] = []
        command = make_redis_command(folder, folder / "redis.sock")
        changed = {"--port": str(self.port), "--appendfsync": fsync}
        for name, value in changed.items():
            command[command.index(name) + 1] = value
        command += ["--bind", "127.0.0.1", "--auto-aof-rewrite-percentage", "0"]
        self.redis = self.start(command)
        self.client = redis.Redis(unix_socket_path=str(folder / "redis.sock"), socket_timeout=60)
        wait_for(lambda: answers(self.client))
        self.env = os.environ | {
            "REDIS_URL": f"redis://127.0.0.1:{self.port}/0",
            "REDIS_PORT": str(self.port),
            "QUEUE": "bench",
            "SEAL_KEY": "00112233445566778899aabbccddeeff" * 2,
            "BENCH_SECRET": "bench-secret",
            "RECEIVER_CONFIG": str(self._config()),
            "WORKER_HANDLERS": "tests.bench.handlers",
            "MAX_PENDING": "100000000",
            "METRICS_PORT": "0",
            "DRAIN_SECONDS": "0",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "warning"),
            "PYTHONPATH": str(ROOT),
            "TICKS": str(folder / "ticks"),
        }

    def _config(self) -> Path:
        path = self.folder / "sources.toml"
        rows = (f'[sources.{name}]\nscheme = "{name}"\nsecrets = ["env:BENCH_SECRET"]\n' for name in ("github", "zyra"))
        path.write_text("\n".join(rows))
        return path

    def start(self, command: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Process:
        popen = subprocess.Popen(
            [*command], env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip
        self._processes.append(Process(popen))
        return self._processes[-1]

    def python(self, *arguments: str, **env: str) -> Process:
        return self.start([sys.executable, *arguments], self.env | env)

    def bytes_used(self) -> int:
        return int(self.client.info("memory")["used_memory"])

    def ticks(self) -> int:
        """How many jobs of any library were done: each adds one byte to a file."""
        path = Path(self.env["TICKS"])
        return path.stat().st_size if path.exists() else 0

    def end(self) -> None:
        self.client.close()
        for process in reversed(self._processes):
            process.end()
        self.log.close()


@contextlib.contextmanager
def stage(fsync: str = "everysec") -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="zr-bench-") as folder:
        found = Stage(Path(folder), fsync)
        try:
            yield found
        finally:
            found.end()


def listening(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def steady() -> None:
    """A moment for what was just started to come to rest."""
    time.sleep(0.3)
