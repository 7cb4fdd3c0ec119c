"""Redis, receivers and workers as real processes; only what was started here is ended."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx2
import redis

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.cluster import Cluster
from tests.support.kit import ROOT, answers, children_of, free_port, wait_for
from workers.cli.embedded import make_redis_command
from workers.ledger.transitions import Ledger

from .proxy import Proxy
from .without import GUARDS

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"  # Debian's libfaketime
LOADED = {"LD_PRELOAD": FAKETIME, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
SEAL = "00112233445566778899aabbccddeeff" * 2
AT_REST = 5.0  # seconds without work after which none comes: what waits for a place looks again after two
KEEP = 86400.0  # seconds that finished events are kept; their scores in the ledger tell when they ended


class Redis:
    """One server of ours, on a unix socket and a TCP port of 127.0.0.1."""

    def __init__(self, folder: Path, **options: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.socket = str(folder / "redis.sock")
        self.port = free_port()
        self.options = {"port": str(self.port), "bind": "127.0.0.1"} | {
            k.replace("_", "-"): v for k, v in options.items()
        }
        self.env: dict[str, str] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self.client = connect(f"unix://{self.socket}", "")

    def command(self) -> list[str]:
        command = make_redis_command(self.folder, Path(self.socket))
        for name, value in self.options.items():
            command += [f"--{name}", *value.split(" ")]
        return command

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), preexec_fn=self._limited, env=os.environ | self.env)
        wait_for(lambda: answers(self.client))

    def _limited(self) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond its limit fails, as on a disk that is full

    def fill_disk(self, room: int) -> None:
        """From now on no file of it may grow beyond what its log has now, and this much."""
        assert self.process
        largest = max(file.stat().st_size for file in self.folder.rglob("*.aof"))
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (largest + room, resource.RLIM_INFINITY))

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)


class Sentinel(Redis):
    """One Sentinel that watches the server on this port, and finds it dead after a second."""

    def __init__(self, folder: Path, watched: int) -> None:
        super().__init__(folder)
        self.watched = watched

    def command(self) -> list[str]:
        lines = [
            f"port {self.port}", "bind 127.0.0.1", f"unixsocket {self.socket}", f"dir {self.folder}",
            f"sentinel monitor main 127.0.0.1 {self.watched} 2", "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 5000", f"logfile {self.folder}/log",
        ]  # fmt: skip
        file = self.folder / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n")
        return [make_redis_command(self.folder, Path(self.socket))[0], str(file), "--sentinel"]

    def ready(self) -> bool:
        """Whether it knows both replicas and both other Sentinels."""
        main = self.client.sentinel_master("main")
        assert isinstance(main, dict)
        return bool(main["num-slaves"] == 2 and main["num-other-sentinels"] == 2)


S = TypeVar("S", bound=Redis | Cluster)


class World:
    """without: guards that are off, for the rows that must fail."""

    def __init__(
        self, folder: Path, *, without: str = "", durability: str = "always", clock: str = "", **options: str
    ) -> None:
        self.folder = folder
        self.without = without
        self.log = folder / "log"
        self.log.touch()
        self.errors = folder / "errors"
        appendonly = {"appendonly": "no"} if without == "append-only file" else {}
        fsync = durability if durability in ("always", "everysec") else "always"
        self.redis = Redis(folder / "redis", **{"appendfsync": fsync} | appendonly | options)
        self.moment = folder / "moment"
        if clock:
            self.redis.env = moving(self.moment)
            self.clock("+0")
        self.redis.start()
        self.proxy = Proxy(self.redis.socket)
        config = folder / "sources.toml"
        window = 'dedup_window = "0"\n' if without == "dedup" else ""
        config.write_text(f'[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\n{window}')
        self.env = os.environ | {
            "REDIS_URL": f"unix://{self.redis.socket}",
            "DURABILITY": "none" if appendonly else durability,
            "SEAL_KEY": SEAL,
            "ZYRA_WEBHOOK_SECRET": "test-secret",
            "RECEIVER_CONFIG": str(config),
            "WORKER_HANDLERS": "tests.faults.handlers",
            "FAULT_LOG": str(self.log),
            "METRICS_PORT": "0",
            "DRAIN_SECONDS": "1",
            "LOG_LEVEL": "error",
            "PYTHONPATH": str(ROOT),
        }
        self.ledger = Ledger(self.redis.client, Keys("events"), Seal(Secret("SEAL_KEY", SEAL, None), "events"))
        self.processes: list[subprocess.Popen[bytes]] = []
        self.servers: list[Redis | Cluster] = [self.redis]

    def clock(self, moment: str) -> None:
        """Sets Redis' clock, as seen from ours: +1h, -1h, +0."""
        self.moment.write_text(moment)

    @property
    def through_proxy(self) -> dict[str, str]:
        return {"REDIS_URL": f"redis://127.0.0.1:{self.proxy.port}/0"}

    def add(self, server: S) -> S:
        """Starts one more server, which ends with the world."""
        server.start()
        self.servers.append(server)
        return server

    def receiver(self, **env: str) -> tuple[str, subprocess.Popen[bytes]]:
        """Its base URL, and the process, once it is ready."""
        port = free_port()
        return f"http://127.0.0.1:{port}", self.receiver_on(port, **env)

    def receiver_on(self, port: int, **env: str) -> subprocess.Popen[bytes]:
        process = self.start("workers.cli", "serve", PORT=str(port), **env)
        wait_for(lambda: ready(f"http://127.0.0.1:{port}"))
        return process

    def worker(self, *options: str, **env: str) -> subprocess.Popen[bytes]:
        command = ("tests.faults.without", self.without) if self.without in GUARDS else ("workers.cli",)
        return self.start(*command, "work", *options, **env)

    def start(self, *command: str, **env: str) -> subprocess.Popen[bytes]:
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *command], env=self.env | env, cwd=ROOT, stdout=errors, stderr=errors
            )
        self.processes.append(process)
        return process

    def run(self, *command: str) -> str:
        """What a command of the command line prints."""
        process = subprocess.run(
            [sys.executable, "-m", "workers.cli", *command],
            env=self.env, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return process.stdout

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def settled(self, seconds: float = 90, complete: Callable[[], bool] = lambda: False) -> float:
        """Seconds until nothing is queued or running any more; for good, if what is complete is not known."""
        started = time.monotonic()
        idle_since = 0.0
        while time.monotonic() < started + seconds:
            if not answers(self.ledger.client) or not self.ledger.is_idle():
                idle_since = 0.0
            elif complete():
                return time.monotonic() - started
            elif not idle_since:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > AT_REST:
                return idle_since - started
            time.sleep(0.05)
        raise AssertionError(f"not settled within {seconds} s")

    def done(self) -> dict[str, float]:
        """When the ledger recorded the end of each event that is final, by its delivery id."""
        found: dict[str, float] = {}
        if self.redis.env:  # by a clock that jumps it says nothing
            return found
        for event, ended in self.ledger.client.zrange(self.ledger.keys.name("final"), 0, -1, withscores=True):
            name = self.ledger.client.hget(self.ledger.keys.event(event.decode()), "delivery_id")
            found[(name or b"").decode()] = ended / 1000
        return found

    def first_traceback(self) -> str:
        """The first one in the logs of all processes, with the line before it, or an empty string."""
        lines = self.errors.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if "Traceback" in line:
                return "\n".join(lines[max(number - 1, 0) : number + 60])
        return ""

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            if process.poll() is None:
                self.kill(process)
        self.ledger.client.close()
        for server in self.servers:
            server.kill()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP to a process and its children, the parent first; at the end they go on."""
    pids = [pid, *children_of(pid)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    yield
    for one in reversed(pids):
        os.kill(one, signal.SIGCONT)


def faked(moment: str) -> dict[str, str]:
    """The environment of a process whose clock is off by so much."""
    return LOADED | {"FAKETIME": moment}


def moving(moment: Path) -> dict[str, str]:
    """The environment of a process whose clock is off by what the file says."""
    return LOADED | {"FAKETIME_TIMESTAMP_FILE": str(moment), "FAKETIME_NO_CACHE": "1"}


def ready(base: str) -> bool:
    return status(base) == 200


def status(base: str) -> int:
    """What /readyz answers, or 0 where nobody does."""
    try:
        return httpx2.get(f"{base}/readyz", trust_env=False).status_code
    except httpx2.HTTPError:
        return 0


@contextlib.contextmanager
def world(**options: str) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="zr-") as folder:
        found = World(Path(folder), **options)
        try:
            yield found
        finally:
            found.end()


def commands(client: redis.Redis) -> dict[str, int]:
    """How often Redis executed each command, but those by which it is only looked at, or told of refusals once a second."""
    looking: tuple[str, ...] = (
        "info",
        "config|get",
        "ping",
        "hello",
        "client|setinfo",
        "client|setname",
        "script|load",
        "select",
    )
    looking += (
        "mget",
        "zcard",
        "sadd",
        "lpush",
        "ltrim",
        "expire",
        "hset",
        "hincrby",
        "hgetall",
        "zadd",
        "zremrangebyscore",
    )
    found = client.info("commandstats")
    return {
        name.removeprefix("cmdstat_"): told["calls"]
        for name, told in found.items()
        if name.removeprefix("cmdstat_") not in looking
    }
