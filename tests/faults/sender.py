"""A provider: signs events, posts them, and tries again until they are taken."""

import asyncio
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

SECRET = b"test-secret"
TRY_FOR = 60.0  # seconds until a provider gives an event up
AGAIN = 0.3  # seconds between its tries


@dataclass(slots=True)
class Sent:
    """What became of the deliveries, by event id."""

    ids: set[str] = field(default_factory=set)
    acked: dict[str, float] = field(default_factory=dict)  # when
    answers: set[str] = field(default_factory=set)  # the receiver's ids: one for each event if dedup holds
    refused: int = 0
    unknown: int = 0
    slowest: float = 0.0
    times: list[float] = field(default_factory=list)  # seconds of each answer that was a success


def signature(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


class Provider:
    """bases: the receivers' URLs, tried in turn."""

    def __init__(
        self, bases: Sequence[str], sent: Sent, kind: str, try_for: float = TRY_FOR, give_up: float = float("inf")
    ) -> None:
        self.bases = bases
        self.sent = sent
        self.kind = kind
        self.try_for = try_for
        self.give_up = give_up  # the moment from which nothing is tried again
        self._turn = 0
        self._number = 0

    async def send(self, count: int, *, copies: int = 1, at_once: int = 32, **payload: float) -> None:
        """So many events, as fast as they are taken."""
        gate = asyncio.Semaphore(at_once)
        async with client() as http:

            async def one() -> None:
                async with gate:
                    await self._event(http, copies, payload)

            await asyncio.gather(*(one() for _ in range(count)))

    async def stream(self, rate: float, stop: threading.Event, **payload: float) -> None:
        """So many events a second, whatever becomes of the ones before, until told to stop."""
        started, tasks, number = time.monotonic(), set(), 0
        async with client() as http:
            while not stop.is_set():
                await asyncio.sleep(0.02)
                while number < (time.monotonic() - started) * rate:
                    number += 1
                    task = asyncio.create_task(self._event(http, 1, payload))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            await asyncio.gather(*tasks)

    async def send_one(self, http: httpx2.AsyncClient, payload: Mapping[str, str | int]) -> str:
        """The event's id once it is accepted, or given up."""
        return await self._event(http, 1, payload)

    async def _event(self, http: httpx2.AsyncClient, copies: int, payload: Mapping[str, str | float]) -> str:
        self._number += 1
        name = f"e{time.time_ns()}-{self._number}"
        self.sent.ids.add(name)
        body = json.dumps({"event_id": name, **payload}).encode()
        headers = {
            "x-zyra-event": self.kind,
            "x-zyra-signature": signature(body),
            "content-type": "application/json",
        }
        await asyncio.gather(*(self._deliver(http, name, body, headers) for _ in range(copies)))
        return name

    async def _deliver(self, http: httpx2.AsyncClient, name: str, body: bytes, headers: dict[str, str]) -> None:
        deadline = min(time.monotonic() + self.try_for, self.give_up)
        while time.monotonic() < deadline:
            self._turn += 1
            started = time.monotonic()
            try:
                url = f"{self.bases[self._turn % len(self.bases)]}/webhooks/zyra"
                answer = await http.post(url, content=body, headers=headers)
            except httpx2.HTTPError:
                self.sent.unknown += 1
            else:
                took = time.monotonic() - started
                self.sent.slowest = max(self.sent.slowest, took)
                if answer.is_success:
                    self.sent.times.append(took)
                    self.sent.acked.setdefault(name, time.time())
                    self.sent.answers.add(answer.json()["id"])
                    return
                self.sent.refused += 1
            await asyncio.sleep(AGAIN)


def client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(timeout=5, limits=httpx2.Limits(max_connections=None), trust_env=False)
