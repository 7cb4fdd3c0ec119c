"""make hostile: what unsigned senders do to a receiver, and what healthy senders notice of it, as a table.

Each load is bounded in bytes, connections and time, goes to 127.0.0.1, and runs against a process of its own.
"""

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.hostile import Guarded, guarded, waits
from tests.support.kit import Server

from . import corpus

HEAD = b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\n"
MIB = 1024 * 1024
HOLD_SECONDS = 3.0  # that connections are held open after the last byte
SETTLE_SECONDS = 10.0
CLOSED_SECONDS = 30.0
SETTLED_MIB = 20  # by which the memory may be larger 10 s after a load
COUNT = int(os.environ.get("HOSTILE", "20000"))  # of requests of all kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """run: attacks, and answers how many bytes it sent."""

    name: str
    run: Callable[[Guarded], int]
    budget_mib: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Memory in MiB; slowest: seconds that a healthy sender waited for its 202; left: connections after 30 s."""

    name: str
    sent_mib: float
    slowest: float
    before: float
    during: float
    after: float
    left: int
    lines: int
    clean: bool

    def holds(self, budget_mib: int) -> bool:
        grown, kept = self.during - self.before, self.after - self.before
        return self.slowest <= 1 and grown <= 2 * budget_mib and kept <= SETTLED_MIB and not self.left and self.clean


def measure(load: Load) -> Figures:
    with guarded(BODY_BUDGET_BYTES=str(load.budget_mib * MIB)) as here:
        with waits(here) as slowest:
            time.sleep(0.5)
            before = here.rss()
            peaks = [before]
            with watching(here, peaks):
                sent = load.run(here)
            time.sleep(SETTLE_SECONDS)
        after = here.rss()
        deadline = time.monotonic() + CLOSED_SECONDS - SETTLE_SECONDS
        while here.connections() and time.monotonic() < deadline:
            time.sleep(0.5)
        lines = here.log()
        return Figures(
            name=load.name, sent_mib=sent / MIB, slowest=slowest(), before=before, during=max(peaks), after=after,
            left=here.connections(), lines=len(lines), clean="Traceback" not in "".join(lines),
        )  # fmt: skip


@contextlib.contextmanager
def watching(here: Guarded, peaks: list[float]) -> Iterator[None]:
    """Looks at the memory every 50 ms, from a thread."""
    import threading

    ends = threading.Event()

    def look() -> None:
        while not ends.wait(0.05):
            peaks.append(here.rss())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def flood(here: Guarded, starts: list[bytes], rest: bytes = b"", rounds: int = 0, read: bool = False) -> int:
    """Opens a connection for each start, sends the rest so many times over all of them, and holds them for a while."""
    sent = 0
    with contextlib.ExitStack() as stack:
        senders = [stack.enter_context(socket.create_connection(("127.0.0.1", here.port), 10)) for _ in starts]
        for one, start in zip(senders, starts, strict=True):
            with contextlib.suppress(OSError):
                one.sendall(start)
                sent += len(start)
                one.settimeout(0.05)
        for _ in range(rounds):
            for one in senders:
                with contextlib.suppress(OSError):
                    sent += one.send(rest)
                    if read:
                        one.recv(4096)
        time.sleep(HOLD_SECONDS)
    return sent


def pipelined(here: Guarded) -> int:
    request = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    return flood(here, [b""], request * 32_000, rounds=24)


def unread_answers(here: Guarded) -> int:
    return flood(
        here, [b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 8] * 200, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 8, 50
    )


def large_bodies(here: Guarded) -> int:
    return flood(here, [HEAD + b"Content-Length: %d\r\n\r\n" % MIB] * 800, b"x" * 65536, rounds=15)


def small_parts(here: Guarded) -> int:
    """Bodies in chunks of a byte, which take more memory apart than together."""
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    return flood(here, [start] * 200, b"1\r\nx\r\n" * 1000, rounds=20)


def heads(here: Guarded) -> int:
    return flood(here, [HEAD + b"a:\r\n" * 250] * 900, b"x-a: " + b"y" * 8000 + b"\r\n", rounds=6)


def trailers(here: Guarded) -> int:
    start = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    return flood(here, [start] * 200, b"x-a: " + b"y" * 16000, rounds=40)


def early_answers(here: Guarded) -> int:
    starts = [
        b"POST /webhooks/none HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n",
        b"PUT /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\n",
        HEAD + b"Content-Length: 90000000\r\n\r\n",
    ]
    return flood(here, starts * 100, b"x" * 65536, rounds=10)


def idle(here: Guarded) -> int:
    return flood(here, [b""] * 3000)


def multipart_heads(here: Guarded) -> int:
    """Heads of parts on which a quadratic pattern would take seconds."""
    body = b"--x\r\nContent-Disposition: form-data" + b"; " * 120_000 + b'name="a'
    start = b"POST /webhooks/twilio HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    start += b"x-twilio-signature: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\nContent-Length: %d\r\n\r\n" % len(body)
    return flood(here, [start + body] * 20)


def hostile_corpus(here: Guarded) -> int:
    """Mutated requests, upgrades, malformed ones, each on a connection of its own; half of them are signed."""
    tenth = COUNT // 10
    requests = corpus.requests(15, 7 * tenth)
    requests += [b"GET /livez HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n"] * tenth
    requests += [b"\x16\x03\x01\x02\x00\r\n", b"GET / HTTP/1.1\r\n\r\n"] * tenth
    answers = asyncio.run(corpus.post_all(here.port, requests, at_once=32))
    bad = {status: count for status, count in answers.items() if status[:1] == "5" and status != "503"}
    if bad:
        raise SystemExit(f"answers: {bad}")
    return sum(map(len, requests))


LOADS = [
    Load(name="24 MiB of pipelined requests on a connection", run=pipelined),
    Load(name="200 connections that read no answer", run=unread_answers),
    Load(name="800 unsigned bodies of 1 MiB", run=large_bodies),
    Load(name="200 bodies in chunks of a byte", run=small_parts),
    Load(name="900 heads of 50 KiB that never end", run=heads),
    Load(name="200 trailers that never end", run=trailers),
    Load(name="400 bodies of 90 MB that are answered early", run=early_answers),
    Load(name="3,000 idle connections", run=idle),
    Load(name="20 multipart bodies of 240 KB, to Twilio", run=multipart_heads),
    Load(name=f"{COUNT:,} hostile requests of all kinds", run=hostile_corpus),
]
SOURCES = """
[sources.zyra]
scheme = "zyra"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
[sources.twilio]
scheme = "twilio"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
public_url = "https://hooks.example.com/webhooks/twilio"
"""


@contextlib.contextmanager
def environment() -> Iterator[dict[str, str]]:
    """A Redis of its own, and what a receiver needs to know."""
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "sources.toml").write_text(SOURCES)
        server = Server(folder)
        server.start()
        try:
            yield {
                "REDIS_URL": server.url, "SEAL_KEY": "00112233445566778899aabbccddeeff" * 2, "DRAIN_SECONDS": "0",
                "ZYRA_WEBHOOK_SECRET": "test-secret", "RECEIVER_CONFIG": str(folder / "sources.toml"),
            }  # fmt: skip
        finally:
            server.stop()


def main() -> int:
    failed = 0
    print("| load | sent MiB | slowest healthy s | RSS before | during | 10 s after | left after 30 s | log lines | |")
    print("|---|---|---|---|---|---|---|---|---|")
    with environment() as env:
        os.environ.update(env)
        for load in LOADS:
            found = measure(load)
            good = found.holds(load.budget_mib)
            failed += not good
            print(
                f"| {found.name} | {found.sent_mib:.1f} | {found.slowest:.2f} | {found.before:.0f} | {found.during:.0f} "
                f"| {found.after:.0f} | {found.left} | {found.lines} | {'holds' if good else 'FAILS'} |",
                flush=True,
            )
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
