"""The environment of the receiver."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from . import config
from .contract.errors import ConfigurationError
from .contract.settings import Durability, Shared, durability, load, number, seconds, setting
from .sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Shared):
    sources: dict[str, Source]
    durability: Durability = setting("DURABILITY", durability, Durability.EVERYSEC)
    replicas: int = setting("REDIS_MIN_REPLICAS", number(1, 10), 1)
    host: str = setting("HOST", str, "127.0.0.1")
    port: int = setting("PORT", number(0, 65535), 8080)
    metrics_port: int = setting("METRICS_PORT", number(0, 65535), 9464)
    processes: int = setting("WEB_CONCURRENCY", number(1, 64), 1)
    max_body_bytes: int = setting("MAX_BODY_BYTES", number(1024, 64 * 1024 * 1024), 1024 * 1024)
    max_pending: int = setting("MAX_PENDING", number(1, 10**9), 100_000)
    drain_seconds: float = setting("DRAIN_SECONDS", seconds, 3.0)


def read(env: Mapping[str, str] = os.environ) -> Settings:
    """The receiver's settings. Raises ConfigurationError with every fault there is."""
    faults: list[str] = []
    sources = config.load(env, faults)
    found = load(Settings, env, faults, sources=sources)
    if found is None or faults:
        raise ConfigurationError(faults)
    return found
