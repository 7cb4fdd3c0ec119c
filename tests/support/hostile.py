"""A receiver under attack: its memory, connections, threads and log, and how long healthy senders wait meanwhile."""

import contextlib
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from .kit import ROOT, free_port, payload, signed, wait_for


@dataclass(frozen=True, slots=True)
class Guarded:
    """A receiver process of ours."""

    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    output: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/zyra"

    def rss(self) -> float:
        """MiB in memory."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def connections(self) -> int:
        """Open TCP connections to its port, as the kernel counts them on its side."""
        return sum(1 for local, state in tcp() if local == self.port and state == "01")

    def log(self) -> list[str]:
        return self.output.read_text().splitlines()

    def metrics(self) -> str:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10, trust_env=False).text
        except httpx2.HTTPError:
            return ""


def tcp() -> Iterator[tuple[int, str]]:
    """Local port and state of each TCP connection of this machine."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        yield int(fields[1].rpartition(":")[2], 16), fields[3]


@contextlib.contextmanager
def guarded(files: int = 0, **env: str) -> Iterator[Guarded]:
    """Starts a receiver with this process's environment. files: how many it may open at most."""
    port, metrics_port = free_port(), free_port()
    own = {"PORT": str(port), "METRICS_PORT": str(metrics_port), "LOG_DELIVERIES": "off"}  # what attackers cause counts
    full = os.environ | {"PYTHONPATH": str(ROOT)} | own | env

    def limit() -> None:
        if files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    with tempfile.TemporaryDirectory(prefix="zr-hostile-") as folder:
        output = Path(folder) / "log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "workers.cli", "serve"], env=full, cwd=ROOT, stdout=file, stderr=file,
                preexec_fn=limit,
            )  # fmt: skip
        found = Guarded(process, port, metrics_port, output)
        try:
            wait_for(lambda: is_ready(port))
            yield found
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def is_ready(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=2, trust_env=False).status_code == 200
    except httpx2.HTTPError:
        return False


@contextlib.contextmanager
def waits(here: Guarded) -> Iterator[Callable[[], float]]:
    """Sends a signed delivery every 50 ms, from a process of its own; afterwards, how long the slowest one took."""
    command = [sys.executable, "-m", "tests.support.hostile", here.url]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = [3600.0]
    try:
        yield lambda: found[0]
    finally:
        said, _ = process.communicate("", timeout=60)  # the end of its input is the end of its work
        found[0] = float(said or "3600")


def send_until_told(url: str) -> float:
    """The seconds of the slowest answer, until standard input ends; one that is no 202 counts as an hour."""
    slowest, ends = 0.0, threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
    while not ends.wait(0.05):
        body, started = payload(), time.monotonic()
        try:
            status = httpx2.post(url, content=body, headers=signed(body), timeout=20, trust_env=False).status_code
        except httpx2.HTTPError:
            status = 0
        slowest = max(slowest, time.monotonic() - started if status == 202 else 3600.0)
    return slowest


def number(text: str, name: str) -> float:
    """The value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


if __name__ == "__main__":
    print(send_until_told(sys.argv[1]))
