"""Reads the ledger for people and scripts; changes nothing."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError
from receiver.contract.keys import EVENT, read_event_id
from receiver.contract.records import EventRecord, EventState, RunState, read_labels, read_number
from receiver.contract.seal import Seal
from receiver.contract.settings import parse_duration

from .sealed_errors import open_error
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
    """since, until: seconds since 1970. handler: of one of its runs. error: a part of the error of one of its runs.

    where: a path of the payload, and the value that stands there.
    """

    state: str = ""
    type: str = ""
    source: str = ""
    since: float = 0.0
    until: float = float("inf")
    handler: str = ""
    error: str = ""
    where: tuple[str, str] | None = None
    limit: int = 50

    def fits(self, record: dict[str, Any], received_at: int) -> bool:
        if self.handler and self.handler not in [run["handler"] for run in record["runs"]]:
            return False
        if self.error and not any(self.error.lower() in run["error"].lower() for run in record["runs"]):
            return False
        wanted = {"state": self.state, "source": self.source}
        if any(value and record[name] != value for name, value in wanted.items()):
            return False
        kind = self.type.removesuffix("*")
        fits = record["type"].startswith(kind) if self.type.endswith("*") else self.type in ("", record["type"])
        return fits and self.since * 1000 <= received_at <= self.until * 1000


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
    offset, newest = 0, "+inf" if wanted.until == float("inf") else int(wanted.until * 1000)
    while page := ledger.client.zrevrangebyscore(
        ledger.keys.name("events"), newest, int(wanted.since * 1000), start=offset, num=PAGE_COUNT
    ):
        offset += len(page)
        yield [decode_text(event) for event in page]


def list_events(ledger: Ledger, events: Sequence[str]) -> Iterator[dict[str, Any]]:
    known = [event for event in events if EVENT.fullmatch(event)]
    records = read_hashes(ledger, [ledger.keys.event(event) for event in known])
    units = [list_units(event, record) for event, record in zip(known, records, strict=True)]
    runs = iter(read_hashes(ledger, [ledger.keys.run(run) for one in units for run in one]))
    for event, record, its in zip(known, records, units, strict=True):
        own = [render_run(ledger, run, next(runs)) for run in its]
        if record:
            yield render_event(ledger, event, read_texts(record), own)


def list_units(event: str, record: Mapping[bytes, bytes]) -> list[str]:
    """The ids of the event's runs."""
    return [f"{event}-{suffix}" for suffix in decode_text(record.get(b"runs", b"")).split(",") if suffix]


def read_hashes(ledger: Ledger, names: Sequence[str]) -> list[dict[bytes, bytes]]:
    """What these keys hold; nothing where that is no hash, which is none of ours."""
    with ledger.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(name)
        return [one if isinstance(one, dict) else {} for one in pipe.execute(False)]


def read_texts(record: Mapping[bytes, bytes]) -> dict[str, str]:
    return {decode_text(name): decode_text(value) for name, value in record.items()}


def render_run(ledger: Ledger, run: str, record: Mapping[bytes, bytes]) -> dict[str, Any]:
    one = read_texts(record)
    state, next_at = one.get("state", "missing"), read_number(one.get("next_at"))
    failure = open_error(ledger.seal, run, one.get("sealed_error", ""))
    error = failure.error or one.get("reason", "") or ("its worker died with it" if "kills" in one else "")
    return {
        "handler": one.get("handler", ""),
        "state": state,
        "attempts": read_number(one.get("attempts")),
        "next_attempt_at": format_time(next_at) if state == RunState.WAITING and next_at else None,
        "waits_for": find_event_ahead(ledger, run, one) if state == RunState.WAITING and not next_at else "",
        "error": f"quarantined: {error}" if "quarantined" in one else error,
        "past": [render_attempt(ledger, run, entry) for entry in read_past(record.get(b"past", b""))],
    }


def find_event_ahead(ledger: Ledger, run: str, record: Mapping[str, str]) -> str:
    """What a run in a lane waits for: the event whose run is the first of it, or the dispatch of an earlier event."""
    first = ledger.client.zrange(ledger.keys.name(f"lane:{record.get('lane', '')}"), 0, 0)
    if not first:
        return ""
    return "dispatch" if decode_text(first[0]) == run else read_event_id(decode_text(first[0]))


def list_dead_runs(ledger: Ledger, event: str) -> list[dict[str, Any]]:
    """The runs of an event that are dead letters, as `show` has them."""
    found = show(ledger, event)
    return [run for run in found["runs"] if run["state"] in (RunState.DEAD, RunState.REFUSED)] if found else []


class PastAttempt(msgspec.Struct, frozen=True, array_like=True):
    """As `remember` of close.lua writes it. began: ms since 1970. sealed: its error, or ""."""

    attempt: int
    began: int
    ms: int
    host: str
    outcome: str
    sealed: str = ""


unpack_past = msgspec.msgpack.Decoder(list[PastAttempt]).decode


def read_past(packed: bytes) -> list[PastAttempt]:
    """The last attempts of a run, oldest first; none where something else stands there."""
    try:
        return unpack_past(packed) if packed else []
    except (msgspec.MsgspecError, ValueError):
        return []


def render_attempt(ledger: Ledger, run: str, one: PastAttempt) -> dict[str, Any]:
    failure = open_error(ledger.seal, run, one.sealed)
    return {
        "attempt": one.attempt,
        "began_at": format_time(one.began),
        "seconds": one.ms / 1000,
        "host": one.host,
        "outcome": one.outcome,
        "error": failure.error,
        "frames": list(failure.frames),
    }


def render_event(ledger: Ledger, event: str, record: dict[str, str], its_runs: list[dict[str, Any]]) -> dict[str, Any]:
    """error, frames: of its dispatch, where that failed."""
    labels = read_labels(event, record)
    failure = open_error(ledger.seal, event, record.get("sealed_error", ""))
    is_open = record.get("state") == EventState.ACCEPTED or record.get("cause") == "dispatch-died"
    died = "its worker died while dispatching the event" if is_open and read_number(record.get("deaths")) else ""
    return {
        "id": event,
        "source": labels.source,
        "type": labels.type,
        "state": record.get("state", "unknown"),
        "cause": record.get("cause", ""),
        "error": failure.error or died,
        "frames": list(failure.frames),
        "received_at": format_time(labels.received_at),
        "finished_at": format_time(read_number(record["finished_at"])) if record.get("finished_at") else None,
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
