"""Checks Redis once a second, for health and for backpressure."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError, ResponseError

from .contract import formats
from .contract.connection import GONE, compute_memory_share, name_mode
from .contract.keys import Keys
from .contract.redis_faults import explain
from .contract.settings import Durability
from .durability import Assessment, judge
from .outage import Outage

log = logging.getLogger(__name__)
MAX_MEMORY_SHARE = 0.9  # of maxmemory above which deliveries are refused
OPEN_INDEXES = ("pending", "queued", "running")  # that accept.lua counts against MAX_PENDING


@dataclass(slots=True)
class Watch:
    """refusal: why the next delivery would get 503, as far as Redis tells when it is asked."""

    client: redis.Redis
    keys: Keys
    level: Durability
    replicas: int = 1
    max_pending: int = 100_000
    draining: bool = False
    met: bool = False  # Redis has once met the level
    reachable: bool = False
    memory: float = 0.0
    refusal: str = "Redis has not answered yet"
    outage: Outage = field(default_factory=Outage)
    verdict: Assessment = field(default_factory=lambda: Assessment(lacks=(), hidden=()))

    async def look(self) -> None:
        """Asks Redis what a delivery would get, and says so in the log where that changes."""
        told = ""
        try:
            self.refusal = await self._find_refusal()
            self.reachable = True
        except (RedisError, OSError, TimeoutError) as error:
            self.refusal, self.reachable = explain(error), not isinstance(error, (*GONE, TimeoutError))
            told = str(error) or type(error).__name__
        self.outage.look(self.refusal, told)

    async def _find_refusal(self) -> str:
        """Raises what Redis raises."""
        async with asyncio.timeout(2):
            info = await self._ask_or_hide(self.client.info())
            config = await self._ask_or_hide(self.client.config_get("appendfsync", "maxmemory-policy"))
            evidence = await self.client.mget(formats.list_evidence(self.client, self.keys))
            open_events = sum([await self._count(self.keys.name(index)) for index in OPEN_INDEXES])
        self.memory = compute_memory_share(info)
        fault = formats.find_fault(self.keys, evidence)
        before, self.verdict = self.verdict, judge(self.level, info, config, self.replicas, fault)
        self.met = self.met or not self.verdict.lacks
        for text in (self.verdict.lacks + self.verdict.hidden) if before != self.verdict else ():
            log.warning(text)
        if not self.met:
            return f"{self.verdict.lacks[0]}; `zyra-receiver check` says the same"
        if self.full:
            return f"Redis uses {self.memory:.0%} of its memory: raise maxmemory, or shorten KEEP_DONE"
        if open_events >= self.max_pending:
            return f"{open_events} events are open, and MAX_PENDING is {self.max_pending}: do workers run?"
        await self.client.expire(self.keys.script_keys[1], 1)  # nothing to expire, but refused where a write is
        return ""

    async def _count(self, index: str) -> int:
        try:
            return int(await self.client.zcard(index))
        except ResponseError:  # foreign data: the next script sets it aside
            return 0

    async def _ask_or_hide(self, asked: Awaitable[Mapping[Any, Any]]) -> dict[str, Any]:
        try:
            return {str(name): value for name, value in (await asked).items()}
        except ResponseError:  # managed servers and tight rights hide it
            return {}

    @property
    def mode(self) -> str:
        """cluster, sentinel or single: how the server that we are connected to works."""
        return name_mode(self.client)

    @property
    def full(self) -> bool:
        return self.memory > MAX_MEMORY_SHARE

    @property
    def unready(self) -> list[str]:
        """Reasons why a load balancer should send nothing. A later outage of Redis is none: we answer 503 ourselves."""
        if self.draining:
            return ["draining"]
        return [] if self.met else list(self.verdict.lacks) or ["Redis has not answered yet"]

    @property
    def unhealthy(self) -> list[str]:
        """Reasons for /healthz: what is wrong with Redis, and why deliveries get 503."""
        lacks = list(self.verdict.lacks) if self.reachable else []
        refusal = self.refusal or self.outage.find_recent_reason()
        is_told = any(lack in refusal for lack in lacks)
        return lacks + [f"deliveries get 503: {refusal}"] * bool(refusal and not is_told) + ["draining"] * self.draining
