"""Writes events to the ledger and to RQ's queue in one step, all that wait at once in one round trip."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import NoScriptError, RedisError

from .contract.connection import client
from .contract.keys import Keys
from .contract.scripts import arguments, source
from .contract.seal import Seal
from .contract.settings import Durability
from .errors import Unavailable
from .sources import Accepted

log = logging.getLogger(__name__)
BATCH = 256  # events in one script call
BATCH_BYTES = 4 * 1024 * 1024  # of bodies, likewise
UNDER_WAY = 2  # batches at once: one is packed while Redis works on the other
WAITING = 4096  # requests that may wait for their batch
BUDGET = 1.5  # seconds until a request is answered 503; 2 s are promised, and the loop may be late


@dataclass(frozen=True, slots=True)
class Receipt:
    """What Redis confirmed: the event's id, and whether it was there already."""

    id: str
    duplicate: bool


@dataclass(slots=True)
class Entry:
    accepted: Accepted
    receipt: asyncio.Future[Receipt] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


def connect(url: str) -> redis.Redis:
    """The receiver's own connections: bounded, never retried silently, since a doubt is a 503."""
    options = {"socket_connect_timeout": 0.5, "socket_timeout": 1.0, "client_name": "zyra-receiver"}
    return client(url, redis.Redis, Sentinel, Retry, max_connections=16, **options)


class Inbox:
    """One writer a process. What arrives while its batches are under way is the next batch."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        seal: Seal,
        *,
        max_pending: int = 100_000,
        durability: Durability = Durability.EVERYSEC,
        replicas: int = 1,
    ) -> None:
        self._client = client
        self._keys = keys
        self._seal = seal
        self._max_pending = max_pending
        self._replicas = replicas if durability is Durability.REPLICATED else 0
        self._script = source("receiver", "accept.lua")
        self._sha = ""
        self._waiting: list[Entry] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, accepted: Accepted) -> Receipt:
        """The receipt, once Redis confirmed it. Raises Unavailable on refusal and on every doubt."""
        if len(self._waiting) >= WAITING:
            raise Unavailable("busy")
        entry = Entry(accepted)
        self._waiting.append(entry)
        self._start()
        try:
            async with asyncio.timeout(BUDGET):
                return await entry.receipt
        except TimeoutError:
            raise Unavailable("slow") from None

    def _start(self) -> None:
        if len(self._tasks) < UNDER_WAY:
            task = asyncio.create_task(self._drain())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _drain(self) -> None:
        while self._waiting:
            batch = [entry for entry in self._cut() if not entry.receipt.done()]  # who gave up was answered 503
            try:
                answers = await self._write([entry.accepted for entry in batch])
                self._settle(batch, answers)
            except (RedisError, OSError) as error:
                self._refuse(batch, error)
            except Exception as error:  # a fault of ours is a doubt too
                log.exception("a batch failed")
                self._refuse(batch, error)

    def _cut(self) -> list[Entry]:
        """The next batch: bounded in number and in bytes."""
        size = number = 0
        while number < min(BATCH, len(self._waiting)) and size < BATCH_BYTES:
            size += len(self._waiting[number].accepted.event.content.body)
            number += 1
        cut, self._waiting = self._waiting[:number], self._waiting[number:]
        return cut

    def _refuse(self, batch: list[Entry], error: Exception) -> None:
        """One failed batch answers 503 to exactly its requests."""
        for entry in batch:
            if not entry.receipt.done():
                entry.receipt.set_exception(Unavailable(cause(error)))

    def _settle(self, batch: list[Entry], answers: Sequence[tuple[bytes, bytes]]) -> None:
        for entry, answer in zip(batch, answers, strict=True):
            verdict, name = (part.decode("utf-8", "replace") for part in answer)
            if entry.receipt.done():
                continue
            if verdict in ("accepted", "duplicate"):
                entry.receipt.set_result(Receipt(name, verdict == "duplicate"))
            else:
                entry.receipt.set_exception(Unavailable(verdict))

    async def _write(self, batch: Sequence[Accepted]) -> Sequence[tuple[bytes, bytes]]:
        if not batch:
            return []
        flat = [value for accepted in batch for value in self._flat(accepted)]
        values = arguments(self._keys, self._max_pending, *flat)
        try:
            return await self._call(values)
        except NoScriptError:  # a restarted Redis: nothing was executed
            self._sha = ""
            return await self._call(values)

    async def _call(self, values: Sequence[str | bytes | int | float]) -> Sequence[tuple[bytes, bytes]]:
        if not self._sha:
            self._sha = await self._client.script_load(self._script)
        if not self._replicas:
            return cast("Sequence[tuple[bytes, bytes]]", await self._client.evalsha(self._sha, 0, *values))
        async with self._client.pipeline(transaction=False) as pipe:  # WAIT speaks of its own connection's writes
            pipe.evalsha(self._sha, 0, *values)
            pipe.execute_command("WAIT", self._replicas, 500)
            answers, reached = await pipe.execute()
        if reached < self._replicas:
            raise RedisError(f"only {reached} replicas confirmed")
        return cast("Sequence[tuple[bytes, bytes]]", answers)

    def _flat(self, accepted: Accepted) -> list[str | bytes | int]:
        labels = accepted.event.labels
        return [
            labels.id,
            accepted.mark,
            int(accepted.window * 1000),
            labels.source,
            labels.type,
            labels.received_at,
            labels.delivery_id,
            labels.origin,
            *self._seal.close(accepted.event),
        ]


def cause(error: Exception) -> str:
    """One word for the metrics."""
    text = str(error)
    for word in ("OOM", "READONLY", "LOADING", "MISCONF", "NOAUTH", "NOPERM", "WRONGTYPE", "replicas"):
        if word in text:
            return word.lower()
    return "redis"
