"""Publishes once a second what operators want to know: refused deliveries with a diagnosis, and secrets in use.

Requests write none of this: they leave it here, at most one refusal a second for each source, and a task publishes it.
"""

import asyncio
import base64
import json
import logging
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import redis.asyncio as redis

from .contract.keys import Keys
from .contract.seal import Seal
from .delivery import Delivery
from .signatures import diagnosis
from .source_keys import SourceKeys
from .sources import Source

log = logging.getLogger(__name__)
MAX_REFUSALS = 500  # of each source that are kept: one source must not push out those of another
KEEP_SECONDS = 24 * 3600  # of refusals
KEEP_DAYS = 8  # of counts that are kept
MIN_DIAGNOSIS_SECONDS = 0.02  # for a diagnosis; a request that took longer is explained for as long as it took
CAPTURE_SECONDS = 3600.0  # after the start for which bodies are captured
MAX_CAPTURE_BYTES = 64 * 1024  # of one


class Refusal(NamedTuple):
    """at: seconds since 1970. spent: seconds of verification."""

    delivery: Delivery
    cause: str
    at: float
    spent: float


class Notices:
    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        seal: Seal,
        sources: Mapping[str, Source],
        source_keys: Mapping[str, SourceKeys],
    ) -> None:
        self._client = client
        self._keys = keys
        self._seal = seal
        self._sources = sources
        self._source_keys = source_keys
        self._started = time.monotonic()
        self._refused: dict[str, Refusal] = {}
        for source in sources.values():
            if source.capture:
                log.warning("source %s: refused bodies are captured for %d minutes", source.name, CAPTURE_SECONDS // 60)

    def note_refusal(self, source: Source, delivery: Delivery, cause: str, spent: float) -> None:
        """Queues a refusal for diagnosis, at most one a second for each source. spent: seconds of the request."""
        if source.name not in self._refused:
            self._refused[source.name] = Refusal(delivery, cause, time.time(), spent)

    async def publish(self) -> None:
        """Raises redis errors; what was not published is lost, which costs nobody an event."""
        refused, self._refused = self._refused, {}
        entries = {name: await asyncio.to_thread(self._explain, name, one) for name, one in refused.items()}
        uses = [use for source in self._sources.values() for use in self._count_uses(source)]
        if not entries and not uses:
            return
        day = self._keys.name(f"secrets:{datetime.now(UTC):%Y%m%d}")
        async with self._client.pipeline(transaction=False) as pipe:
            for name, entry in entries.items():
                refusals = self._keys.name(f"refusals:{name}")
                pipe.sadd(self._keys.name("refusals"), name)
                pipe.lpush(refusals, entry)
                pipe.ltrim(refusals, 0, MAX_REFUSALS - 1)
                pipe.expire(refusals, KEEP_SECONDS)
            for field, count in uses:
                pipe.hincrby(day, field, count)
                pipe.hset(self._keys.name("secrets"), field, str(int(time.time())))
            if uses:
                pipe.expire(day, KEEP_DAYS * 86400)
            await pipe.execute()

    def _count_uses(self, source: Source) -> list[tuple[str, int]]:
        """How often each secret verified a delivery since we last asked, under a name that tells nothing of it."""
        uses, texts = self._source_keys[source.name].take_uses(), self._source_keys[source.name].list_texts()
        return [(name_secret(self._seal, source, texts[at]), count) for at, count in uses.items() if at < len(texts)]

    def _explain(self, name: str, refused: Refusal) -> str:
        source, (delivery, cause, at, spent) = self._sources[name], refused
        texts = {one: keys.list_texts() for one, keys in self._source_keys.items()}
        try:
            reason = diagnosis.diagnose(
                source.scheme,
                delivery,
                cause,
                texts.pop(name),
                at,
                previous=list(self._source_keys[name].previous),
                others=texts,
                seconds=max(MIN_DIAGNOSIS_SECONDS, spent),
            )
        except Exception:  # hostile input must not end the task that publishes
            log.exception("a refusal was not explained")
            reason = "not explained: a fault of ours"
        refusal = f"ref_{secrets.token_hex(6)}"
        entry = {
            "id": refusal,
            "at": at,
            "source": name,
            "cause": cause,
            "reason": reason,
            "body_bytes": len(delivery.body),
            "body_digest": self._seal.fingerprint(delivery.body),
            "headers": diagnosis.describe_headers(source.scheme, delivery),
        }
        if source.capture and time.monotonic() - self._started < CAPTURE_SECONDS:
            sealed = self._seal.wrap(name_capture(refusal), delivery.body[:MAX_CAPTURE_BYTES])
            entry["body_sealed"] = base64.b64encode(sealed).decode()
        return json.dumps(entry)


def name_capture(refusal: str) -> str:
    """The name under which a captured body is sealed."""
    return f"refusal:{refusal}"


def name_secret(seal: Seal, source: Source, text: str) -> str:
    """The name of a secret in Redis: its source and a digest that only holders of SEAL_KEY can compute."""
    return f"{source.name} {seal.fingerprint(source.name.encode() + bytes(1) + text.encode())}"
