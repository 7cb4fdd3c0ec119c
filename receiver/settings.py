"""The environment of the receiver."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from . import config
from .client_address import Network, parse_networks
from .contract.errors import ConfigurationError
from .contract.settings import Durability, Shared, load, make_number_parser, parse_durability, parse_duration, setting
from .sources import Source


def parse_web_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ValueError("must be a URL that begins with https:// or http://")  # it may hold a secret
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Shared):
    sources: dict[str, Source]
    durability: Durability = setting("DURABILITY", parse_durability, Durability.EVERYSEC)
    replicas: int = setting("REDIS_MIN_REPLICAS", make_number_parser(1, 10), 1)
    port: int = setting("PORT", make_number_parser(0, 65535), 8080)
    metrics_port: int = setting("METRICS_PORT", make_number_parser(0, 65535), 9464)
    processes: int = setting("WEB_CONCURRENCY", make_number_parser(1, 64), 1)
    max_body_bytes: int = setting("MAX_BODY_BYTES", make_number_parser(1024, 64 * 1024 * 1024), 1024 * 1024)
    body_budget_bytes: int = setting(
        "BODY_BUDGET_BYTES", make_number_parser(1024 * 1024, 2**40), 0
    )  # 0: see `body_budget`
    max_connections: int = setting("MAX_CONNECTIONS", make_number_parser(8, 10**6), 0)  # 0: as many as open files allow
    max_pending: int = setting("MAX_PENDING", make_number_parser(1, 10**9), 100_000)
    trusted_proxies: tuple[Network, ...] = setting("TRUSTED_PROXIES", parse_networks, ())
    heartbeat_url: str = field(default="", repr=False, metadata={"name": "HEARTBEAT_URL", "parse": parse_web_url})
    drain_seconds: float = setting("DRAIN_SECONDS", parse_duration, 3.0)


def read(env: Mapping[str, str] = os.environ) -> Settings:
    """The receiver's settings. Raises ConfigurationError with every fault there is."""
    faults: list[str] = []
    sources = config.load_sources(env, faults)
    settings = load(Settings, env, faults, sources=sources)
    if settings and settings.body_budget_bytes and settings.body_budget_bytes < 2 * settings.max_body_bytes:
        faults.append("BODY_BUDGET_BYTES must be at least twice MAX_BODY_BYTES, else one large body fills it")
    if settings is None or faults:
        raise ConfigurationError(faults)
    return settings
