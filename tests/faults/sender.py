"""A provider: signs events, posts them, and tries again until they are taken."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2

SECRET = b"test-secret"
TRY_FOR = 60.0  # seconds until a provider gives an event up


@dataclass(slots=True)
class Sent:
    """What became of the deliveries, by event id."""

    ids: set[str] = field(default_factory=set)
    acked: dict[str, float] = field(default_factory=dict)  # when
    answers: set[str] = field(default_factory=set)  # the receiver's ids: one for each event if dedup holds
    refused: int = 0
    unknown: int = 0
    slowest: float = 0.0


async def send(
    bases: Sequence[str], sent: Sent, *, count: int, kind: str, copies: int = 1, at_once: int = 32, **payload: float
) -> None:
    gate = asyncio.Semaphore(at_once)
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=5, limits=limits, trust_env=False) as http:

        async def one(number: int) -> None:
            name = f"e{time.time_ns()}-{number}"
            sent.ids.add(name)
            body = json.dumps({"event_id": name, **payload}).encode()
            signature = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
            headers = {"x-zyra-event": kind, "x-zyra-signature": signature, "content-type": "application/json"}
            async with gate:
                await asyncio.gather(
                    *(deliver(http, bases, sent, name, body, headers, number + n) for n in range(copies))
                )

        await asyncio.gather(*(one(number) for number in range(count)))


async def deliver(
    http: httpx2.AsyncClient,
    bases: Sequence[str],
    sent: Sent,
    name: str,
    body: bytes,
    headers: dict[str, str],
    turn: int,
) -> None:
    deadline = time.monotonic() + TRY_FOR
    while time.monotonic() < deadline:
        turn += 1
        started = time.monotonic()
        try:
            answer = await http.post(f"{bases[turn % len(bases)]}/webhooks/zyra", content=body, headers=headers)
        except httpx2.HTTPError:
            sent.unknown += 1
        else:
            sent.slowest = max(sent.slowest, time.monotonic() - started)
            if answer.is_success:
                sent.acked.setdefault(name, time.time())
                sent.answers.add(answer.json()["id"])
                return
            sent.refused += 1
        await asyncio.sleep(0.3)
