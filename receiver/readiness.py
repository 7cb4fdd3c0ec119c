"""Checks Redis once a second, for health and for backpressure."""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError, ResponseError

from .contract import formats
from .contract.connection import compute_memory_share, name_mode
from .contract.keys import Keys
from .contract.settings import Durability
from .durability import Assessment, judge

log = logging.getLogger(__name__)
MAX_MEMORY_SHARE = 0.9  # of maxmemory above which deliveries are refused


@dataclass(slots=True)
class Watch:
    client: redis.Redis
    keys: Keys
    level: Durability
    replicas: int = 1
    draining: bool = False
    met: bool = False  # Redis has once met the level
    reachable: bool = False
    memory: float = 0.0
    verdict: Assessment = field(default_factory=lambda: Assessment(lacks=(), hidden=()))

    async def look(self) -> None:
        try:
            async with asyncio.timeout(2):
                info = await self._ask_or_hide(self.client.info())
                config = await self._ask_or_hide(self.client.config_get("appendfsync", "maxmemory-policy"))
                evidence = await self.client.mget(formats.list_evidence(self.client, self.keys))
                fault = formats.find_fault(self.keys, evidence)
        except (RedisError, OSError, TimeoutError) as error:
            if self.reachable or not self.met:
                log.warning("Redis does not answer: deliveries get 503 until it does", extra={"error": str(error)})
            self.reachable = False
            return
        before, self.verdict = self.verdict, judge(self.level, info, config, self.replicas, fault)
        self.memory = compute_memory_share(info)
        self.reachable = True
        self.met = self.met or not self.verdict.lacks
        for text in (self.verdict.lacks + self.verdict.hidden) if before != self.verdict else ():
            log.warning(text)
        if not self.met and before != self.verdict:
            log.error("deliveries get 503 until this is mended: `zyra-receiver check` says the same")

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
        """Reasons for /healthz."""
        reasons = list(self.verdict.lacks) if self.reachable else ["Redis does not answer"]
        if self.full:
            reasons.append(f"Redis uses {self.memory:.0%} of its memory: deliveries get 503")
        return reasons + ["draining"] * self.draining
