"""Signed requests, each a new event, over kept connections."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections import Counter

from .naive import SECRET

BODY = json.dumps({"action": "push", "pad": "x" * 2000}).encode()
SIGNATURE = "sha256=" + hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()


def request(number: str, signature: str) -> bytes:
    head = (
        "POST /webhooks/github HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"X-GitHub-Event: push\r\nX-GitHub-Delivery: {number}\r\nX-Hub-Signature-256: {signature}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


async def post(port: int, connections: int, seconds: float, signature: str = SIGNATURE) -> tuple[float, Counter[bytes]]:
    """Requests a second, and how many of each status."""
    codes: Counter[bytes] = Counter()
    numbers, run, end = itertools.count(), time.time_ns(), time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            writer.write(request(f"{run}-{next(numbers)}", signature))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            await reader.readexactly(length)
            codes[head[9:12]] += 1
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return codes.total() / (time.perf_counter() - started), codes
