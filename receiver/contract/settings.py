"""The environment, read once where a process starts, with every fault named at once."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlsplit

from . import connection, secrets
from .errors import ConfigurationError
from .keys import Keys, find_tag
from .seal import Seal

DEFAULT_QUEUE = "events"
IN_FILES = ("REDIS_URL", "HEARTBEAT_URL")  # settings that name a secret, and may stand in a file
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
T = TypeVar("T")


class Durability(StrEnum):
    """What a 202 means: on disk, on disk within a second, on replicas too, or whatever Redis gives."""

    ALWAYS = "always"
    EVERYSEC = "everysec"
    REPLICATED = "replicated"
    NONE = "none"


def make_number_parser(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"is not a whole number: {text!r}") from None
        if not low <= value <= high:
            raise ValueError(f"must be from {low} to {high}, not {value}")
        return value

    return parse


def parse_duration(text: str) -> float:
    """90, 15s, 5m, 24h or 7d as seconds."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:], 0)
    try:
        value = float(text[:-1]) * unit if unit else float(text)
    except ValueError:
        value = -1
    if not 0 <= value < 1e10:
        raise ValueError(f"is not a duration such as 90, 5m or 24h: {text!r}")
    return value


def parse_redis_url(text: str) -> str:
    if urlsplit(text).scheme not in ("redis", "rediss", "unix", "sentinel"):
        raise ValueError("must start with redis://, rediss://, unix:// or sentinel://")
    try:
        connection.check(text)
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from None
    return text


def parse_word(text: str) -> str:
    if not text or not all(c.isascii() and (c.isalnum() or c in "_-") for c in text):
        raise ValueError(f"must be letters, digits, _ and - only: {text!r}")
    return text


def parse_rq_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:{}-]+", text):  # what RQ itself takes
        raise ValueError(f"must be letters, digits and _ . : - {{ }} only: {text!r}")
    return text


def parse_level(text: str) -> str:
    if text.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError(f"must be debug, info, warning or error, not {text!r}")
    return text.upper()


def parse_durability(text: str) -> Durability:
    if text not in list(Durability):
        raise ValueError(f"must be one of {', '.join(Durability)}, not {text!r}")
    return Durability(text)


def parse_switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError(f"must be on or off, not {text!r}")
    return text.lower() == "on"


def setting(name: str, parse: Callable[[str], T], default: T) -> T:
    """A field that is read from the variable name."""
    return field(default=default, metadata={"name": name, "parse": parse})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the receiver and the workers both need to know."""

    seal: Seal
    redis_url: str = setting("REDIS_URL", parse_redis_url, DEFAULT_REDIS_URL)
    queue: str = setting("QUEUE", parse_word, DEFAULT_QUEUE)
    log_level: str = setting("LOG_LEVEL", parse_level, "INFO")
    log_deliveries: bool = setting("LOG_DELIVERIES", parse_switch, True)
    rq_prefix: str = setting("RQ_KEY_PREFIX", parse_rq_prefix, "")
    keep_done: float = setting("KEEP_DONE", parse_duration, 86400.0)
    host: str = setting("HOST", str, "127.0.0.1")
    metrics_host: str = setting("METRICS_HOST", str, "")

    @property
    def keys(self) -> Keys:
        return Keys(self.queue, self.rq_prefix)

    @property
    def metrics_address(self) -> str:
        """Where metrics are served: METRICS_HOST, else HOST."""
        return self.metrics_host or self.host


S = TypeVar("S", bound=Shared)


def load(kind: type[S], env: Mapping[str, str], faults: list[str], **overrides: Any) -> S | None:
    """The settings of one process, or None with what is wrong with them added to faults."""
    before = len(faults)
    values: dict[str, Any] = dict(overrides)
    for item in fields(kind):
        name = item.metadata.get("name", "")
        try:
            if item.name not in overrides and (text := read_text(env, name)) is not None:
                values[item.name] = item.metadata["parse"](text)
        except ValueError as error:
            faults.append(f"{name} {error}")
        except ConfigurationError as error:
            faults += error.faults
    if "seal" not in values:
        try:
            values["seal"] = read_seal(env, values.get("queue", DEFAULT_QUEUE))
        except ConfigurationError as error:
            faults += error.faults
    faults += find_wrong_tag(values.get("queue", DEFAULT_QUEUE), values.get("rq_prefix", ""))
    return kind(**values) if len(faults) == before else None


def read_text(env: Mapping[str, str], name: str) -> str | None:
    """The value of a variable. One that may hold a password also comes from a file, read once.

    Raises ConfigurationError.
    """
    if name not in IN_FILES or f"{name}_FILE" not in env:
        return env.get(name)
    secret = secrets.read(env, name)
    return secret.values[0] if secret else None


def find_wrong_tag(queue: str, rq_prefix: str) -> list[str]:
    """What is wrong where RQ's keys would not share the slot of the ledger's."""
    keys = Keys(queue)
    if not rq_prefix or find_tag(rq_prefix) == keys.tag:
        return []
    return [
        f"RQ_KEY_PREFIX must hold {keys.tag}, since RQ's keys share the slot of the ledger: leave it out, or set "
        f"RQ_KEY_PREFIX={keys.rq_prefix}, not {rq_prefix!r}"
    ]


def read_seal(env: Mapping[str, str], queue: str) -> Seal:
    secret = secrets.read(env, "SEAL_KEY")
    if command := env.get("SEAL_KEY_COMMAND"):
        if secret is not None:
            raise ConfigurationError(["SEAL_KEY and SEAL_KEY_COMMAND are both set: keep one"])
        secret = secrets.read_command("SEAL_KEY", command)
    if secret is None:
        raise ConfigurationError(["SEAL_KEY is not set: `openssl rand -hex 32` makes one, the same for all processes"])
    return Seal(secret, queue)
