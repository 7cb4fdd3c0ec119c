"""An event as it is kept, and the words for the states of events and runs."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class EventState(StrEnum):
    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    DONE = "done"
    DEAD = "dead"
    UNHANDLED = "unhandled"
    UNREADABLE = "unreadable"
    DISCARDED = "discarded"


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"
    REFUSED = "refused"
    SKIPPED = "skipped"


class Body(StrEnum):
    """A format of bodies. The receiver decides for each body which one of those that its scheme takes."""

    JSON = "json"
    FORM = "form"
    RAW = "raw"
    TOKEN = "token"  # noqa: S105 - a JSON Web Token whose claims are the payload


class Labels(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The part of an event that the ledger has in the clear. The seal binds every field to the body.

    The event's hash in Redis has a field of the same name for each but the id. A new field needs a default: what has
    the default is neither stored nor bound, so events of before stay readable.
    """

    id: str
    source: str
    type: str
    received_at: int  # milliseconds since 1970, UTC
    delivery_id: str = ""
    origin: str = "delivery"


SHORT_NAMES = {
    "headers": "h",
    "format": "f",
    "unordered": "u",
    "stem": "s",
    "json_field": "j",
    "resource": "r",
    "index": "i",
    "trace": "t",
}  # in what is sealed: one of these fields in every event would cost as much as a label


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename=SHORT_NAMES):
    """The part of an event that is encrypted: the body, the kept headers, and how to read them.

    A new field needs a default: what was sealed before does not have it.
    """

    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    format: Body = Body.JSON
    unordered: bool = False  # whether the order of a form's fields is not signed
    stem: str = ""  # the first part of a type that is composed of several places: `issues` of `issues.opened`
    json_field: str = ""  # of a form: whose JSON is the payload where no other field is there
    resource: tuple[str, ...] = ()  # paths to the resource's id, when the source names its own
    index: tuple[str, ...] = ()  # paths by whose values `events list --where` finds the event
    trace: str = ""  # the traceparent of the receiver's span, where it traces

    @property
    def traceparent(self) -> str:
        """Of the span that the event's processing is a part of: the receiver's, else the sender's, else ""."""
        return self.trace or next((value for name, value in self.headers if name == "traceparent"), "")

    def __repr__(self) -> str:  # no payload in a log or a traceback
        return f"Content({len(self.body)} bytes)"


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verified event as it is stored. Only `receiver.sources` and an opened seal make one."""

    labels: Labels
    content: Content


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What `accept.lua` reads of one event, by these names. The sealed bytes stand beside it.

    key: id of the key that sealed the event. mark: its repetitions are known by this, for `window_ms` (0: not at all).
    """

    labels: Labels
    key: str
    mark: str
    window_ms: int
    digest: str = ""  # of the content, where the mark is of the identity alone
    signed_mark: str = ""  # of what is signed, where id or type are not
    once: bool = False  # what is signed is one event, whatever id and type come with it
    replays: bool = False  # a redelivery of an event that ended dead, unhandled or unreadable replays it
    untyped: bool = False  # it is counted


pack_acceptances = msgspec.msgpack.Encoder().encode  # of a list of them


def read_labels(event: str, record: Mapping[str, str]) -> Labels:
    """The labels of an event's hash. What nobody of ours wrote gives labels that its seal does not fit."""
    texts = {name: record[name] for name in Labels.__struct_fields__ if name in record}
    received_at = read_number(record.get("received_at"))
    return Labels(**{"source": "", "type": "", **texts, "id": event, "received_at": received_at})  # type: ignore[arg-type]


def read_number(value: object) -> int:
    """A number of the ledger; 0 where none stands there."""
    if isinstance(value, int):
        return value
    digits = value if isinstance(value, bytes) else str(value).encode()
    return int(digits) if digits.isdigit() and len(digits) < 16 else 0
