"""What tests share: a server, processes, signed deliveries, waiting."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import redis

from receiver.contract.connection import connect
from receiver.contract.keys import Keys, hash_handler, make_event_id
from receiver.contract.records import Acceptance, Content, EventRecord, Labels, pack_acceptances
from receiver.contract.scripts import build_arguments, compose_script
from receiver.contract.seal import Seal
from receiver.schemes import Scheme, load_schemes
from receiver.signatures import signing
from receiver.signatures.verify import Key
from workers.cli.embedded import make_redis_command
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Decision, NewRun

PIPE_BYTES = 1024 * 1024  # nobody reads until the end: a process whose log fills its pipe would hang
Tool = Callable[..., tuple[int, str, str]]  # calls the command line in this process: exit code, stdout, stderr
Dead = Callable[[], str]  # makes an event with a dead run; its id
ROOT = Path(__file__).parents[2]


class Server:
    """A Redis-compatible server of our own, append-only, on a unix socket."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"unix://{folder}/redis.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = make_redis_command(self.folder, self.folder / "redis.sock")
        command[command.index("--appendfsync") + 1] = "everysec"
        self.process = subprocess.Popen(command)
        client = connect(self.url, "")
        wait_for(lambda: answers(client))
        client.close()

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self.process:
            self.process.send_signal(number)
            self.process.wait(10)
            self.process = None

    def pause(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The condition's value once it is true; fails the test if that takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {condition}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def accept(ledger: Ledger, seal: Seal, body: bytes = b"{}", kind: str = "virtual_server.error", **more: Any) -> str:
    """Puts an event into the ledger as the receiver does; its id."""
    mark = more.pop("mark", secrets.token_hex(8))
    content = Content(body=body, **{k: more.pop(k) for k in ("format", "resource", "index") if k in more})
    now = int(time.time() * 1000)
    labels = Labels(id=make_event_id(now), source=more.pop("source", "zyra"), type=kind, received_at=now, **more)
    event = EventRecord(labels=labels, content=content)
    key, sealed = seal.close(event)
    acceptance = Acceptance(labels=labels, key=key, mark=mark, window_ms=1000)
    script = compose_script("receiver", "accept.lua")
    values = build_arguments(ledger.keys, 100_000, pack_acceptances([acceptance]), sealed)
    verdict, name = ledger.client.eval(script, *values)
    assert verdict == b"accepted"
    return str(name.decode())


def make_runs(handlers: Iterable[str], begins: str = "", **more: Any) -> tuple[NewRun, ...]:
    """begins: the handler whose first attempt starts in this process at once, or "". more: of each `NewRun`."""
    return tuple(NewRun(suffix=hash_handler(name), handler=name, begins=name == begins, **more) for name in handlers)


def dispatch(
    ledger: Ledger, claim: Claim, verdict: str, cause: str = "", handlers: Sequence[str] = (), digests: str = ""
) -> str:
    """Ends a dispatch as a worker does that begins with no run at once; what became of the event."""
    runs = make_runs(handlers)
    decision = Decision(unit=claim.unit, token=claim.token, verdict=verdict, cause=cause, runs=runs, digests=digests)
    return ledger.finish_dispatches([decision])[0][0]


def signed(
    body: bytes, kind: str = "virtual_server.error", scheme: str = "zyra", secret: str = "test-secret"
) -> dict[str, str]:
    return sign_headers(load_schemes()[scheme], secret.encode(), body, kind, secrets.token_hex(8), time.time())


def sign_headers(
    scheme: Scheme, key: Key, body: bytes, kind: str, event: str, now: float, url: str = ""
) -> dict[str, str]:
    """The headers alone, for schemes that write nothing into body or query."""
    made = signing.sign(scheme, key, body, kind, event, now, url)
    assert (made.body, made.query) == (body, "")
    return made.headers


def payload(**data: Any) -> bytes:
    return json.dumps({"id": f"evt_{secrets.token_hex(8)}", "data": data}).encode()


@contextlib.contextmanager
def running(
    *command: str, env: Mapping[str, str] | None = None, stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[str]]:
    """`python -m` in a process of its own, which ends with the test."""
    full = os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {})
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        env=full,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        pipesize=PIPE_BYTES,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(stop)
        try:
            process.communicate(timeout=40)
        except (subprocess.TimeoutExpired, ValueError):
            process.kill()
            process.wait()


def run(
    *command: str, env: Mapping[str, str] | None = None, seconds: float = 60, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    full = os.environ | {"PYTHONPATH": str(ROOT)} | dict(env or {})
    return subprocess.run(
        [sys.executable, "-m", *command],
        env=full,
        text=True,
        capture_output=True,
        timeout=seconds,
        cwd=cwd,
        check=False,
    )


def children_of(pid: int) -> list[int]:
    """The processes that this one has started and that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rsplit(")", 1)[1].split()
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def find_readable(client: redis.Redis, keys: Keys, words: list[str]) -> list[str]:
    """Which of the words stand readable under any key of the queue."""
    readers: dict[Any, Callable[[Any], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1),
    }
    texts = [repr((key, readers[client.type(key)](key))) for key in client.scan_iter(f"*{keys.queue}*")]
    assert texts
    return [word for word in words if any(word in text for text in texts)]
