"""The event as a handler sees it."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from receiver.contract.body import read
from receiver.contract.payload_paths import find_resource, find_resource_id
from receiver.contract.records import EventRecord

from .zyra.models import Breach, Device, Invoice, Job, Row, VirtualServer

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Data = TypeVar("Data", bound=Row, default=Row, covariant=True)
else:
    from typing import TypeVar

    Data = TypeVar("Data")

MODELS: dict[str, type[Row]] = {
    "device": Device,
    "virtual_server": VirtualServer,
    "job": Job,
    "sla": Breach,
    "invoice": Invoice,
    "payment": Invoice,
}  # fmt: skip - of what Zyra's events are about, by the first part of their type
decode_exactly = msgspec.json.Decoder(float_hook=Decimal).decode


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is a dead letter. error: of its last attempt."""

    handler: str
    attempts: int
    error: str


class Event(msgspec.Struct, Generic[Data], frozen=True, kw_only=True):
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
    failures: tuple[Failure, ...] = ()  # for `Router.on_dead` alone
    resource_paths: tuple[str, ...] = ()  # the source's own paths to the resource's id

    @property
    def data(self) -> Data:
        """The object that the event is about: a dictionary of all its fields, with typed attributes for known ones.

        It is the one in which `resource_id` stands, else what stands at `data`; empty where there is none.
        """
        try:
            payload = decode_exactly(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):  # a form, or JSON that only a slower reader reads
            payload = self.payload
        found = find_resource(payload, self.type, self.resource_paths)
        model = MODELS.get(self.type.partition(".")[0], Row)
        return model.make(found if isinstance(found, dict) else {}, "")  # type: ignore[return-value]

    @property
    def traceparent(self) -> str:
        """Of the receiver's span, else as the sender gave it, else ""."""
        return self.trace or self.headers.get("traceparent", "")

    def __repr__(self) -> str:  # no payload in a log or a traceback
        return f"Event(id={self.id!r}, source={self.source!r}, type={self.type!r}, attempt={self.attempt})"


DeviceEvent = Event[Device]
VirtualServerEvent = Event[VirtualServer]
JobEvent = Event[Job]
BreachEvent = Event[Breach]
InvoiceEvent = Event[Invoice]


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
        resource_id=find_resource_id(payload, labels.type, content.resource),
        body=content.body,
        headers=MappingProxyType(dict(content.headers)),
        received_at=datetime.fromtimestamp(labels.received_at / 1000, UTC),
        delivery_id=labels.delivery_id,
        origin=labels.origin,
        attempt=attempt,
        is_replay=is_replay,
        stem=content.stem,
        trace=content.trace,
        resource_paths=content.resource,
        key=make_key(labels.id, handler),
    )


def make_key(event: str, handler: str) -> str:
    """The same for an event and a handler over all attempts and replays."""
    return hashlib.sha256(f"{event} {handler}".encode()).hexdigest()[:32]
