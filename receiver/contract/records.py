"""An event as it is kept, and the words for the states of events and runs."""

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
    DONE = "done"
    DEAD = "dead"
    DISCARDED = "discarded"
    REFUSED = "refused"


class Body(StrEnum):
    """A format of bodies. The receiver decides for each body which one of those that its scheme takes."""

    JSON = "json"
    FORM = "form"
    RAW = "raw"
    TOKEN = "token"  # noqa: S105 - a JSON Web Token whose claims are the payload


class Labels(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of an event that the ledger has in the clear. The seal binds every field to the body."""

    id: str
    source: str
    type: str
    received_at: int  # milliseconds since 1970, UTC
    delivery_id: str = ""
    origin: str = "delivery"


class Content(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The part of an event that is encrypted: the body, the kept headers, and how to read them."""

    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    format: Body = Body.JSON
    unordered: bool = False  # whether the order of a form's fields is not signed
    stem: str = ""  # the first part of a type that is composed of several places: `issues` of `issues.opened`
    json_field: str = ""  # of a form: whose JSON is the payload where no other field is there
    resource: tuple[str, ...] = ()  # paths to the resource's id, when the source names its own

    def __repr__(self) -> str:  # no payload in a log or a traceback
        return f"Content({len(self.body)} bytes)"


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A verified event as it is stored. Only `receiver.sources` and an opened seal make one."""

    labels: Labels
    content: Content
