"""Requests, each a new event: as fast as they are answered (wrk), or at a fixed rate whatever becomes of them."""

import asyncio
import hashlib
import hmac
import itertools
import json
import os
import re
import secrets
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

SECRET = b"bench-secret"
SCRIPT = Path(__file__).parent / "post.lua"
SIZE = 2048  # bytes of a body
KEYS = 10_000
ZYRA = 120_000  # bodies signed beforehand for one run


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What wrk saw. p50, p99: seconds. status: answers that were no success."""

    requests: int
    seconds: float
    p50: float
    p99: float
    status: int
    socket: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def body(**fields: object) -> bytes:
    """A webhook-like document of SIZE bytes."""
    document = {"pusher": "bench", "ref": "refs/heads/main", **fields, "commits": []}
    commits: list[object] = document["commits"]  # type: ignore[assignment]
    while len(json.dumps(document)) < SIZE - 250:
        number = len(commits)
        author = {"name": f"author {number}", "email": f"author-{number}@example.com"}
        commits.append({"id": f"{number:040x}", "message": "a change of something", "author": author, "distinct": True})
    document["pad"] = ""
    document["pad"] = "x" * (SIZE - len(json.dumps(document)))
    return json.dumps(document).encode()


def signature(text: bytes) -> str:
    return hmac.new(SECRET, text, hashlib.sha256).hexdigest()


def bodies(folder: Path, kind: str) -> Path:
    """A file of signatures and bodies: one for github, which tells events apart by a header, many for zyra.

    keyed: for github, with so many keys.
    """
    path = folder / f"bodies-{kind}"
    run = secrets.token_hex(4)
    if kind == "zyra":
        texts = [body(event_id=f"{run}-{number}") for number in range(ZYRA)]
    else:
        texts = [body(key=f"key-{number}") for number in range(KEYS if kind == "keyed" else 1)]
    path.write_bytes(b"".join(signature(text).encode() + b" " + text + b"\n" for text in texts))
    return path


def closed_loop(port: int, connections: int, seconds: float, *, kind: str, path: str, file: Path) -> Load:
    env = os.environ | {"KIND": kind, "TARGET": path, "BODIES": str(file), "RUN": secrets.token_hex(6)}
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(SCRIPT)]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    found = re.search(r"^RESULT (.*)$", said.stdout, re.MULTILINE)
    if not found:
        raise SystemExit(f"wrk said nothing: {said.stdout[-500:]} {said.stderr[-500:]}")
    return Load(**json.loads(found[1]))


def request(number: str, text: bytes, sign: str, path: str) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
        f"X-GitHub-Delivery: {number}\r\nX-Hub-Signature-256: sha256={sign}\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


async def open_loop(port: int, rate: float, seconds: float, path: str) -> tuple[list[float], Counter[bytes]]:
    """Latencies, from the moment a request was due, and how many of each status. Connections are kept and reused."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    latencies: list[float] = []
    codes: Counter[bytes] = Counter()
    text = body()
    sign, run, tasks = signature(text), secrets.token_hex(6), set()

    async def one(number: int, due: float) -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(f"{run}-{number}", text, sign, path))
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - due)
        codes[head[9:12]] += 1
        idle.append((reader, writer))

    started = time.perf_counter()
    for number in itertools.count():
        due = started + number / rate
        if number >= rate * seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(number, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for _, writer in idle:
        writer.close()
    return latencies, codes
