"""Events as lines of JSON, to keep them elsewhere and to bring them back.

The first line is a head, each other one an event with a digest of its own, and the last a count and a digest of all: a
file that was cut or changed is noticed before anything is written.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.contract.connection import decode_text
from receiver.contract.records import EventRecord, read_labels
from receiver.contract.seal import Seal, pack, unpack

from .lane_key import NAME
from .query import list_units, read_hashes
from .transitions import Ledger

FORMAT = 1
KIND = "zyra-receiver events"
TRANSIENT = ("job", "token", "queued_at", "missing", "suspect", "alone", "deaths")  # of a claim that is over
SEALED = ("sealed_error", "past", "unanswered")  # which only the key of before opens
Line = dict[str, Any]


class ArchiveError(Exception):
    """The file is no archive, or not whole."""


def write_archive(ledger: Ledger, seal: Seal, events: Iterable[str], opened: bool) -> Iterator[str]:
    """The lines. opened: bodies in the clear, for other keys and other eyes; else as they are sealed."""
    total, count = hashlib.sha256(), 0
    head = {"kind": KIND, "format": FORMAT, "queue": ledger.keys.queue, "opened": opened}
    yield encode(head | {"lane_key": base64.b64encode(dump_lane_key(ledger, seal, opened)).decode()})
    for event in events:
        record = dump(ledger, seal, event, opened)
        if record is None:
            continue
        text = encode(record)
        total.update(text.encode())
        count += 1
        yield encode({"event": record, "digest": hashlib.sha256(text.encode()).hexdigest()})
    yield encode({"count": count, "digest": total.hexdigest()})


def dump_lane_key(ledger: Ledger, seal: Seal, opened: bool) -> bytes:
    """What names the lanes of open runs; b"" where there is none."""
    sealed = ledger.client.get(ledger.keys.name(NAME))
    if not isinstance(sealed, bytes):
        return b""
    return seal.unwrap(NAME, sealed) if opened else sealed


def restore_lane_key(ledger: Ledger, seal: Seal, head: Line) -> None:
    """Makes restored runs and new events of one key share a lane, where the ledger has named none yet."""
    if found := base64.b64decode(head.get("lane_key", "")):
        sealed = seal.wrap(NAME, found) if head["opened"] else seal.rewrap(NAME, found)
        ledger.client.set(ledger.keys.name(NAME), sealed, nx=True)


def dump(ledger: Ledger, seal: Seal, event: str, opened: bool) -> Line | None:
    """One event, or None where it is gone. Raises SealError where it is to be opened and does not open."""
    fields = read_hashes(ledger, [ledger.keys.event(event)])[0]
    if not fields:
        return None
    units = list_units(event, fields)
    body = ledger.client.get(ledger.keys.body(event))
    runs = read_hashes(ledger, [ledger.keys.run(unit) for unit in units])
    without = (*TRANSIENT, *SEALED) if opened else TRANSIENT
    line: Line = {"id": event, "fields": dump_fields(fields, without)}
    if opened:
        line |= open_body(seal, event, line["fields"], body)
    else:
        line["sealed"] = base64.b64encode(body).decode() if isinstance(body, bytes) else ""
    calls = read_hashes(ledger, [ledger.keys.name(f"calls:{unit}") for unit in units])
    line["runs"] = {
        unit[31:]: {"fields": dump_fields(run, without), "calls": {} if opened else dump_fields(made)}
        for unit, run, made in zip(units, runs, calls, strict=True)
    }
    return line


def open_body(seal: Seal, event: str, fields: Mapping[str, Any], body: object) -> Line:
    """The content, to be sealed again, and its body as people read it; nothing where it was dropped."""
    if not isinstance(body, bytes):
        return {}
    content = seal.open(fields.get("key", ""), read_labels(event, fields), body).content
    return {
        "content": base64.b64encode(pack(content)).decode(),
        "body": content.body.decode("utf-8", "replace"),
    }


def dump_fields(fields: Mapping[bytes, bytes], without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A hash as JSON has it: what is no text stands in base64."""
    return {name: dump_value(value) for raw, value in fields.items() if (name := decode_text(raw)) not in without}


def dump_value(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def load_value(value: Any) -> bytes:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return str(value).encode()


def read_archive(lines: Iterable[str]) -> Iterator[Line]:
    """The head, then the events of an archive. Raises ArchiveError at the first line that is not as it was written."""
    total, count, ended = hashlib.sha256(), 0, False
    for number, text in enumerate(lines, 1):
        line = decode(text, number)
        if number == 1:
            if line.get("kind") != KIND or line.get("format") != FORMAT:
                raise ArchiveError(f"line 1: not an archive of `events export` that this release reads: {text[:80]!r}")
            yield line
        elif ended:
            raise ArchiveError(f"line {number}: after the end of the archive")
        elif "event" in line:
            written = encode(line["event"]).encode()
            if hashlib.sha256(written).hexdigest() != line.get("digest"):
                raise ArchiveError(f"line {number}: the event was changed: its digest is another one")
            total.update(written)
            count += 1
            yield line["event"]
        else:
            ended = True
            if (line.get("count"), line.get("digest")) != (count, total.hexdigest()):
                raise ArchiveError(f"line {number}: {line.get('count')} events were written, {count} are here")
    if not ended:
        raise ArchiveError("the file was cut: its last line is missing")


def restore(ledger: Ledger, seal: Seal, event: Line) -> str:
    """Writes one event, unless it is there: what was done, in words. Raises SealError, ArchiveError."""
    fields = {name: load_value(value) for name, value in event["fields"].items()}
    body = reseal_opened(seal, event, fields) if "content" in event else base64.b64decode(event.get("sealed", ""))
    if body:
        labels = read_labels(event["id"], {name: decode_text(value) for name, value in fields.items()})
        seal.open(decode_text(fields.get("key", b"")), labels, body)
    hashes = list(flatten(ledger.keys.event(event["id"]), fields))
    for suffix, one in event["runs"].items():
        unit = f"{event['id']}-{suffix}"
        for name, part in ((ledger.keys.run(unit), one["fields"]), (ledger.keys.name(f"calls:{unit}"), one["calls"])):
            hashes += flatten(name, {field: load_value(value) for field, value in part.items()})
    return decode_text(ledger.call("restore.lua", ledger.keep, event["id"], body, *hashes))


def flatten(name: str, fields: Mapping[str, bytes]) -> Iterator[str | bytes | int]:
    """A hash as `restore.lua` reads it."""
    yield name
    yield len(fields)
    for field, value in fields.items():
        yield field
        yield value


def reseal_opened(seal: Seal, event: Line, fields: dict[str, bytes]) -> bytes:
    """Seals the content with the first key, and names that key in the event's fields."""
    labels = read_labels(event["id"], {name: decode_text(value) for name, value in fields.items()})
    key, sealed = seal.close(EventRecord(labels=labels, content=unpack(base64.b64decode(event["content"]))))
    fields["key"] = key.encode()
    fields.pop("digests", None)
    return sealed


def encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def decode(text: str, number: int) -> Line:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        line = None
    if not isinstance(line, dict):
        raise ArchiveError(f"line {number}: not a line of an archive")
    return line
