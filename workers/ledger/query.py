"""Reads the ledger for people and scripts; changes nothing."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError
from receiver.contract.keys import EVENT
from receiver.contract.records import EventRecord, EventState, RunState, read_labels, read_number
from receiver.contract.seal import Seal
from receiver.contract.settings import parse_duration

from .transitions import Ledger, read_pairs

PAGE_COUNT = 200
MAX_TIME_MS = 253_402_300_799_000  # the last millisecond-second of the year 9999
INDEXES = {
    EventState.ACCEPTED: ("pending", "dispatching", "parked"),
    EventState.DISPATCHED: ("open",),
    EventState.DEAD: ("dead",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """since: seconds since 1970."""

    state: str = ""
    type: str = ""
    source: str = ""
    since: float = 0.0
    limit: int = 50

    def fits(self, record: dict[str, Any], received_at: int) -> bool:
        wanted = {"state": self.state, "source": self.source}
        if any(value and record[name] != value for name, value in wanted.items()):
            return False
        kind = self.type.removesuffix("*")
        fits = record["type"].startswith(kind) if self.type.endswith("*") else self.type in ("", record["type"])
        return fits and received_at >= self.since * 1000


def show(ledger: Ledger, event: str) -> dict[str, Any] | None:
    """The event as JSON has it, or None."""
    return next(list_events(ledger, [event]), None)


def search(ledger: Ledger, wanted: Filter) -> Iterator[dict[str, Any]]:
    """Events that fit, newest first, at most `limit`."""
    left = wanted.limit
    for page in list_pages(ledger, wanted):
        for event in list_events(ledger, page):
            if left > 0 and wanted.fits(event, parse_time(event["received_at"])):
                left -= 1
                yield event
        if left <= 0:
            return


def list_pages(ledger: Ledger, wanted: Filter) -> Iterator[list[str]]:
    """Ids by the page: of the state's index where it has one, else of the time index."""
    if wanted.state in INDEXES:
        ids = [
            decode_text(event)
            for name in INDEXES[EventState(wanted.state)]
            for event in ledger.client.zrange(ledger.keys.name(name), 0, -1)
        ]
        ids.sort(reverse=True)
        yield from (ids[i : i + PAGE_COUNT] for i in range(0, len(ids), PAGE_COUNT))
        return
    offset = 0
    while page := ledger.client.zrevrangebyscore(
        ledger.keys.name("events"), "+inf", int(wanted.since * 1000), start=offset, num=PAGE_COUNT
    ):
        offset += len(page)
        yield [decode_text(event) for event in page]


def list_events(ledger: Ledger, events: Sequence[str]) -> Iterator[dict[str, Any]]:
    known = [event for event in events if EVENT.fullmatch(event)]
    with ledger.client.pipeline(transaction=False) as pipe:
        for event in known:
            pipe.hgetall(ledger.keys.event(event))
        records = [read_pairs(answer) if not isinstance(answer, Exception) else {} for answer in pipe.execute(False)]
    for event, record in zip(known, records, strict=True):
        if record:
            yield render_event(event, record, list_runs(ledger, event, record))


def list_runs(ledger: Ledger, event: str, record: dict[str, str]) -> list[dict[str, Any]]:
    suffixes = [suffix for suffix in record.get("runs", "").split(",") if suffix]
    with ledger.client.pipeline(transaction=False) as pipe:
        for suffix in suffixes:
            pipe.hgetall(ledger.keys.run(f"{event}-{suffix}"))
        records = [read_pairs(one) if not isinstance(one, Exception) else {} for one in pipe.execute(False)]
    return [
        {
            "handler": one.get("handler", ""),
            "state": one.get("state", "missing"),
            "attempts": read_number(one.get("attempts")),
            "next_attempt_at": format_time(read_number(one.get("next_at")))
            if one.get("state") == RunState.WAITING
            else None,
            "error": one.get("error", ""),
        }
        for one in records
    ]


def render_event(event: str, record: dict[str, str], its_runs: list[dict[str, Any]]) -> dict[str, Any]:
    labels = read_labels(event, record)
    return {
        "id": event,
        "source": labels.source,
        "type": labels.type,
        "state": record.get("state", "unknown"),
        "cause": record.get("cause", ""),
        "received_at": format_time(labels.received_at),
        "delivery_id": labels.delivery_id,
        "origin": labels.origin,
        "duplicates": read_number(record.get("duplicates")),
        "repeats": record.get("repeats", ""),
        "runs": its_runs,
    }


def open_event(ledger: Ledger, seal: Seal, event: str) -> EventRecord:
    """The event with its body. Raises SealError where the seal does not open, or the body is gone."""
    record = read_pairs(ledger.client.hgetall(ledger.keys.event(event)))
    body = ledger.client.get(ledger.keys.body(event))
    if not isinstance(body, bytes):
        raise SealError("the event, or its body, is not kept any more")
    return seal.open(record.get("key", ""), read_labels(event, record), body)


def format_time(moment: int) -> str:
    """Milliseconds as RFC 3339, UTC."""
    bounded = min(moment, MAX_TIME_MS)  # what is no date of ours must not hide the rest of a list
    return datetime.fromtimestamp(bounded / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)


def parse_since(value: str) -> float:
    """Seconds since 1970, from a duration (1h) or a moment (RFC 3339). Raises ValueError."""
    try:
        return time.time() - parse_duration(value)
    except ValueError:
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            raise ValueError(
                f"{value!r} is neither a duration such as 1h nor a moment such as 2026-01-31T12:00:00Z"
            ) from None
