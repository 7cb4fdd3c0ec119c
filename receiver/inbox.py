"""Writes events to the ledger and to RQ's queue in one step, all that wait at once in one round trip."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import msgspec
import redis.asyncio as redis
from hiredis import pack_command
from redis.exceptions import NoScriptError, RedisError, ResponseError

from .contract.keys import Keys
from .contract.records import Acceptance, pack_acceptances
from .contract.redis_faults import name_cause
from .contract.scripts import build_arguments, compose_script
from .contract.seal import Seal
from .contract.settings import Durability
from .contract.slot import SlotMoved
from .errors import Unavailable
from .sources import Accepted

log = logging.getLogger(__name__)
MAX_BATCH_EVENTS = 64  # events in one script call: larger ones make everybody wait for everybody
MAX_BATCH_BYTES = 4 * 1024 * 1024  # of bodies, likewise
MAX_BATCHES = 3  # batches at once, where Redis is far or slow
MAX_WAITING = 4096  # requests that may wait for their batch
ANSWER_SECONDS = 1.5  # until a request is answered 503; 2 s are promised, and the loop may be late


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What Redis confirmed: the event's id, and whether it was there already."""

    id: str
    duplicate: bool
    state: str = ""  # of the event that was there, if it ended dead, unhandled or unreadable


class Entry(msgspec.Struct, gc=False):
    """A request that waits. since: the loop's time."""

    accepted: Accepted
    receipt: asyncio.Future[Receipt]
    since: float


class Inbox:
    """One writer a process. What arrives while a batch is under way is the next one; once full, that is sent too."""

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
        self._script = compose_script("receiver", "accept.lua")
        self._sha = ""
        self._loop: asyncio.AbstractEventLoop | None = None  # to ask which one runs is a system call (Python 3.11)
        self._waiting: list[Entry] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def accept(self, accepted: Accepted) -> asyncio.Future[Receipt]:
        """The receipt, once Redis confirmed it; Unavailable on refusal and on every doubt, within BUDGET."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        receipt: asyncio.Future[Receipt] = loop.create_future()
        if len(self._waiting) >= MAX_WAITING:
            receipt.set_exception(Unavailable("busy"))
            return receipt
        self._waiting.append(Entry(accepted, receipt, loop.time()))
        if self._is_due(len(self._tasks)):
            self._tasks.add(loop.create_task(self._drain()))
        return receipt

    def _is_due(self, under_way: int) -> bool:
        """Whether to send a batch. Small ones at once would cost more than to wait for each other."""
        return len(self._waiting) >= (MAX_BATCH_EVENTS if under_way else 1) and under_way < MAX_BATCHES

    async def _drain(self) -> None:
        try:
            while self._is_due(len(self._tasks) - 1):
                if batch := self._cut():
                    await self._send(batch)
        finally:  # at once: who comes in the next moment must not rely on a task that is over
            self._tasks.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _send(self, batch: list[Entry]) -> None:
        """It ends, one way or the other, when the first of its requests has waited for BUDGET."""
        try:
            async with asyncio.timeout_at(batch[0].since + ANSWER_SECONDS):
                answers = await self._write([entry.accepted for entry in batch])
            self._settle(batch, answers)
        except TimeoutError:
            self._refuse(batch, "slow")
        except (RedisError, OSError) as error:
            self._refuse(batch, name_cause(error))
        except Exception:  # a fault of ours is a doubt too
            log.exception("a batch failed")
            self._refuse(batch, "fault")

    def _cut(self) -> list[Entry]:
        """The next batch, bounded in number and in bytes, without those that have waited for too long."""
        now = asyncio.get_running_loop().time()
        size = late = 0
        cut = []
        for entry in self._waiting[:MAX_BATCH_EVENTS]:
            cut.append(entry)
            late += entry.since + ANSWER_SECONDS <= now
            size += len(entry.accepted.event.content.body)
            if size >= MAX_BATCH_BYTES:
                break
        del self._waiting[: len(cut)]
        self._refuse(cut[:late], "slow")  # they came first
        return [entry for entry in cut[late:] if not entry.receipt.done()]  # the server may end, and have answered 503

    def _refuse(self, batch: list[Entry], cause: str) -> None:
        """One failed batch answers 503 to exactly its requests."""
        for entry in batch:
            if not entry.receipt.done():
                entry.receipt.set_exception(Unavailable(cause))

    def _settle(self, batch: list[Entry], answers: Sequence[bytes]) -> None:
        for entry, verdict, name in zip(batch, answers[::2], answers[1::2], strict=True):
            if entry.receipt.done():  # the server ends, and the request was answered 503
                continue
            word, _, state = verdict.partition(b":")
            if word in (b"accepted", b"duplicate"):
                entry.receipt.set_result(Receipt(name.decode("utf-8", "replace"), word == b"duplicate", state.decode()))
            else:
                entry.receipt.set_exception(Unavailable(verdict.decode("utf-8", "replace")))

    async def _write(self, batch: Sequence[Accepted]) -> Sequence[bytes]:
        acceptances, bodies = zip(*map(self._seal_one, batch), strict=True)
        values = build_arguments(self._keys, self._max_pending, pack_acceptances(acceptances), *bodies)
        try:
            return await self._call(values)
        except (NoScriptError, SlotMoved):  # a restarted Redis, or another one: nothing was executed
            self._sha = ""
            return await self._call(values)

    async def _call(self, values: Sequence[str | bytes | int | float]) -> Sequence[bytes]:
        if not self._sha:
            self._sha = await self._client.script_load(self._script)
        script = ("EVALSHA", self._sha, *values)
        if not self._replicas:
            return cast("Sequence[bytes]", (await self._exchange(script))[0])
        wait = ("WAIT", self._replicas, 500)  # it speaks of its own connection's writes
        answers, reached = await self._exchange(script, wait)
        if reached < self._replicas:
            raise RedisError(f"only {reached} replicas confirmed")
        return cast("Sequence[bytes]", answers)

    async def _exchange(self, *commands: tuple[str | bytes | int | float, ...]) -> list[Any]:
        """The answers to these commands, sent by one write on one connection; one that is left in doubt is closed.

        redis-py packs a command argument by argument in Python, which costs more than all else that a batch does.
        """
        pool = self._client.connection_pool
        connection = await pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            packed = b"".join(map(pack_command, commands))  # type: ignore[arg-type]  # its stub knows tuples of one
            await connection.send_packed_command(packed, check_health=False)
            return [await connection.read_response() for _ in commands]
        except BaseException as error:
            if len(commands) > 1 or not isinstance(error, ResponseError):
                await connection.disconnect(nowait=True)
            raise
        finally:
            await pool.release(connection)

    def _seal_one(self, accepted: Accepted) -> tuple[Acceptance, bytes]:
        key, sealed = self._seal.close(accepted.event)
        acceptance = Acceptance(
            labels=accepted.event.labels,
            key=key,
            mark=accepted.mark,
            window_ms=int(accepted.window * 1000),
            digest=accepted.digest,
            signed_mark=accepted.signed_mark,
            once=accepted.once,
            replays=accepted.replays,
            untyped=accepted.untyped,
        )
        return acceptance, sealed
