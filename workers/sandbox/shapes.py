"""What Zyra's pages leave open, in several ways: how a webhook's payload and the API's envelopes are shaped."""

from dataclasses import dataclass
from typing import Any

from .rows import Row

PAYLOADS = ("nested", "flat", "resource")
TOTALS = ("meta", "top", "data")
ERRORS = ("envelope", "stock")
INVOICES = ("issued", "draft")
STOPS = ("at-once", "slow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """payload: where the resource stands in a webhook; total: of a list; errors: of 422, enveloped or FastAPI's own;

    invoice: what it is when `invoice.generated` is told; stop: whether a server that is to stop has stopped at once.
    """

    payload: str = "nested"
    total: str = "meta"
    errors: str = "envelope"
    invoice: str = "issued"
    stop: str = "at-once"


def parse_shape(text: str) -> Shape:
    """payload=flat,total=top,errors=stock: what is not named stays as it is. Raises ValueError."""
    choices = dict(part.strip().partition("=")[::2] for part in text.split(",") if part.strip())
    known = {"payload": PAYLOADS, "total": TOTALS, "errors": ERRORS, "invoice": INVOICES, "stop": STOPS}
    for name, value in choices.items():
        if value not in known.get(name, ()):
            ways = ", ".join(f"{one}={'|'.join(values)}" for one, values in known.items())
            raise ValueError(f"{name}={value} is no shape: {ways}")
    return Shape(**choices)


def render_payload(shape: Shape, event: str, kind: str, moment: str, data: Row) -> Row:
    if shape.payload == "flat":
        return {**data, "event_id": event, "event_type": kind, "occurred_at": moment, "resource_id": data.get("id")}
    if shape.payload == "resource":
        return {"delivery_id": event, "type": kind, "resource": data, "sent_at": moment}
    return {"id": event, "event": kind, "created_at": moment, "data": data}


def render_list(shape: Shape, rows: list[Row], total: int, meta: Row) -> Row:
    if shape.total == "top":
        return {"success": True, "data": rows, "total": total, "meta": meta}
    if shape.total == "data":
        return {"success": True, "data": {"items": rows, "total": total}, "meta": meta}
    return {"success": True, "data": rows, "meta": {**meta, "total": total}}


def render_invalid(message: str) -> dict[str, Any]:
    """A 422 as FastAPI answers it."""
    return {"detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]}
