"""The event as a handler sees it."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import msgspec

from receiver.contract.body import read
from receiver.contract.records import EventRecord

PATHS = (  # places that name the resource come first; `id` at the top is the event's own
    "data.{resource}.id", "data.{resource}_id", "data.resource.id", "data.resource_id", "{resource}.id",
    "{resource}_id", "resource.id", "resource_id", "data.object.id", "object.id", "data.id", "data.{family}_id",
    "{family}_id",
)  # fmt: skip


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a verified delivery tells.

    `key` is the same for an event and a handler over all attempts and replays: use it as an idempotency key.
    """

    id: str
    source: str
    type: str
    payload: Any
    resource_id: str
    body: bytes
    headers: Mapping[str, str]
    received_at: datetime
    delivery_id: str = ""
    origin: str = "delivery"
    attempt: int = 1
    is_replay: bool = False
    key: str = ""
    stem: str = ""  # the first part of a composed type: a handler for it gets the event, too
    trace: str = ""  # the traceparent of the receiver's span, where it traces

    @property
    def traceparent(self) -> str:
        """Of the receiver's span, else as the sender gave it, else ""."""
        return self.trace or self.headers.get("traceparent", "")

    def __repr__(self) -> str:  # no payload in a log or a traceback
        return f"Event(id={self.id!r}, source={self.source!r}, type={self.type!r}, attempt={self.attempt})"


def make_event(sealed: EventRecord, *, attempt: int = 1, is_replay: bool = False, handler: str = "") -> Event:
    """The event behind an opened seal. Raises Unreadable where its body is not what the source's format promises."""
    payload = read(sealed.content)
    return make_event_with_payload(sealed, payload, attempt=attempt, is_replay=is_replay, handler=handler)


def make_event_with_payload(
    sealed: EventRecord, payload: Any, *, attempt: int = 1, is_replay: bool = False, handler: str = ""
) -> Event:
    """The event, where its body is read already."""
    labels, content = sealed.labels, sealed.content
    return Event(
        id=labels.id,
        source=labels.source,
        type=labels.type,
        payload=payload,
        resource_id=find_resource_id(payload, labels.type, content.resource or PATHS),
        body=content.body,
        headers=MappingProxyType(dict(content.headers)),
        received_at=datetime.fromtimestamp(labels.received_at / 1000, UTC),
        delivery_id=labels.delivery_id,
        origin=labels.origin,
        attempt=attempt,
        is_replay=is_replay,
        stem=content.stem,
        trace=content.trace,
        key=hashlib.sha256(f"{labels.id} {handler}".encode()).hexdigest()[:32],
    )


def find_resource_id(payload: Any, kind: str, paths: tuple[str, ...]) -> str:
    """The id of what the event is about, at the first path that holds one; "" where none does."""
    for steps in expand_paths(kind, paths):
        value = walk(payload, steps)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""


def find_value(payload: Any, kind: str, path: str, resource: tuple[str, ...] = ()) -> str:
    """The text or number at a path, as text; "" where there is none. The path `resource` is that to the resource's id.

    resource: the source's own paths to that.
    """
    if path == "resource":
        return find_resource_id(payload, kind, resource or PATHS)
    value = walk(payload, path.split("."))
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def walk(payload: Any, steps: Sequence[str]) -> Any:
    """What stands at the end of a path; None where there is nothing. A number is a place in a list."""
    value = payload
    for step in steps:
        if isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if len(step) < 4 and int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    if isinstance(value, list) and len(value) == 1:  # a field of a form
        return value[0]
    return value


@lru_cache(maxsize=1024)
def expand_paths(kind: str, paths: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The paths' steps. Of sla.breach.started {resource} is breach, and {family} is sla."""
    resource, *families = kind.split(".")[-2::-1] or [kind]
    expanded = [
        path.replace("{resource}", resource).replace("{family}", family)
        for path in paths
        for family in (families if "{family}" in path else [""])
    ]
    return tuple(tuple(path.split(".")) for path in expanded)
