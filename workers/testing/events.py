"""Events as they would come."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from receiver.contract.keys import make_event_id
from receiver.contract.records import Content, EventRecord, Labels

from .. import event as events
from ..event import Event, Failure
from ..sandbox.catalogue import CHANGES
from ..sandbox.rows import make_blank
from ..sandbox.shapes import Shape, render_payload


def make_event(
    kind: str,
    payload: Any = None,
    *,
    data: Mapping[str, Any] | None = None,
    source: str = "zyra",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    received_at: datetime | None = None,
    attempt: int = 1,
    is_replay: bool = False,
    failures: Sequence[Failure] = (),
) -> Event[Any]:
    """An event of this type, read from its body as a worker reads it.

    payload: all of the body's JSON; else it is as Zyra's sandbox makes it.
    data: fields of the resource that a Zyra event is about; the others have the sandbox's defaults.
    body: the body's bytes, instead of a payload.
    failures: what `Router.on_dead` is told.
    """
    moment = received_at or datetime.now(UTC)
    event = make_event_id(int(moment.timestamp() * 1000))
    if body is None:
        document = make_payload(event, kind, moment, data or {}) if payload is None else payload
        body = json.dumps(document).encode()
    labels = Labels(id=event, source=source, type=kind, received_at=int(moment.timestamp() * 1000))
    content = Content(body=body, headers=tuple((headers or {}).items()), stem=kind.partition(".")[0])
    made = events.make_event(EventRecord(labels=labels, content=content), attempt=attempt, is_replay=is_replay)
    return msgspec.structs.replace(made, failures=tuple(failures))


def make_payload(event: str, kind: str, moment: datetime, data: Mapping[str, Any]) -> dict[str, Any]:
    """What the sandbox would send."""
    area, _, status = CHANGES.get(kind, ("", "", ""))
    row = {**make_blank(area, "res_0001"), "status": status} if area else {}
    return render_payload(Shape(), event, kind, moment.isoformat().replace("+00:00", "Z"), {**row, **data})
