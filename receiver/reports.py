"""What `status` shows of receivers, written once a second: signs of life, deliveries by source, refusals."""

import os
import socket
import time
from collections.abc import Mapping

import redis.asyncio as redis

from .contract.connection import decode_text
from .contract.keys import Keys
from .sources import Source

LIFE_SECONDS = 5.0  # between two signs of life
DECLARE_SECONDS = 60.0  # between two declarations of what the configuration says of sources
RECENT_SECONDS = 900  # that counts of a minute are kept; ledger.lua keeps those of workers as long
FORGET_SECONDS = 86400.0  # since the last sign of life of a receiver


class Reports:
    """Of one server process. Requests are counted here; `publish` writes the counts once a second."""

    def __init__(self, client: redis.Redis, keys: Keys, sources: Mapping[str, Source]) -> None:
        self._client = client
        self._keys = keys
        self._sources = sources
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._refused: dict[tuple[str, str], int] = {}
        self._accepted: dict[str, int] = {}
        self._refusal = ""
        self._next_life = self._next_declaration = 0.0

    def accept(self, source: str) -> None:
        """Counts a verified delivery."""
        self._accepted[source] = self._accepted.get(source, 0) + 1

    def refuse(self, source: str, cause: str) -> None:
        """Counts a refused delivery of a configured source."""
        self._refused[source, cause] = self._refused.get((source, cause), 0) + 1

    async def publish(self, refusal: str = "") -> None:
        """refusal: why deliveries get 503 now, or "".

        Raises redis errors; what was not written is lost, which costs nobody an event.
        """
        accepted, self._accepted = self._accepted, {}
        refused, self._refused = self._refused, {}
        now = time.time()
        counts = {f"accepted:{source}": count for source, count in accepted.items()}
        counts |= {f"refused:{source}:{cause}": count for (source, cause), count in refused.items()}
        if now >= self._next_declaration:
            await self._declare(int(now * 1000))
            self._next_declaration = now + DECLARE_SECONDS
        async with self._client.pipeline(transaction=False) as pipe:
            if now >= self._next_life:
                self._next_life = now + LIFE_SECONDS
                pipe.zadd(self._keys.name("receivers"), {self._name: int(now * 1000)})
                pipe.zremrangebyscore(self._keys.name("receivers"), "-inf", int((now - FORGET_SECONDS) * 1000))
            if counts:
                minute = self._keys.name(f"recent:{int(now // 60)}")
                for name, count in counts.items():
                    pipe.hincrby(minute, name, count)
                pipe.expire(minute, RECENT_SECONDS)
            if refusal != self._refusal:
                if refusal:
                    pipe.hset(self._keys.name("refusing"), self._name, refusal)
                else:
                    pipe.hdel(self._keys.name("refusing"), self._name)
            for source in accepted:
                pipe.hset(self._keys.name("heard"), source, str(int(now * 1000)))
            if len(pipe):
                await pipe.execute()
        self._refusal = refusal

    async def leave(self) -> None:
        """The receiver ends."""
        await self._client.zrem(self._keys.name("receivers"), self._name)
        await self._client.hdel(self._keys.name("refusing"), self._name)

    async def _declare(self, now_ms: int) -> None:
        """What workers and `status` need to know of sources: they do not read the receiver's configuration."""
        before = {name: await self._read(name) for name in ("keeps", "expected", "indexed")}
        async with self._client.pipeline(transaction=False) as pipe:
            for source in self._sources.values():
                name = source.name
                first = before["expected"].get(name, "").split(" ")[-1] or now_ms
                wanted = {
                    "keeps": describe_keep(source),
                    "expected": f"{int(source.expect_every * 1000)} {now_ms} {first}" if source.expect_every else "",
                    "indexed": ",".join(source.index),
                }
                for table, value in wanted.items():
                    stays = table == "keeps" and name in before[table]  # its finished events have their own index
                    if value.strip() or stays:
                        pipe.hset(self._keys.name(table), name, value)
                    elif name in before[table]:
                        pipe.hdel(self._keys.name(table), name)
            if len(pipe):
                await pipe.execute()

    async def _read(self, table: str) -> dict[str, str]:
        found = await self._client.hgetall(self._keys.name(table))
        return {decode_text(name): decode_text(value) for name, value in found.items()}


def describe_keep(source: Source) -> str:
    """For how many ms it keeps events, then bodies; nothing where the defaults do."""
    return " ".join("" if one is None else str(int(one * 1000)) for one in (source.keep_done, source.keep_body))
