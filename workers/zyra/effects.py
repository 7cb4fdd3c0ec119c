"""Effects that a call's generator yields: Redis, sleep, HTTP. Two clients, sync and async, perform them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from .calls import Call


@dataclass(frozen=True, slots=True)
class Do:
    """Something that asks Redis, and takes no longer than that."""

    act: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


@dataclass(frozen=True, slots=True)
class Send:
    """A request: an Answer, or Unreachable, or Unreadable. into: where an answer's content goes."""

    call: Call
    headers: Mapping[str, str] = field(repr=False)
    into: str | PathLike[str] | None = None
    content: bytes | None = None


Step = Do | Wait | Send
