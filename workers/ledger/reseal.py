"""Moves what an old key of SEAL_KEY sealed to the first one, so that the old one may go."""

from collections.abc import Callable, Iterator

import msgspec

from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError
from receiver.contract.records import EventRecord, read_labels
from receiver.contract.seal import Seal

from .query import list_units, read_hashes, read_past, read_texts
from .sealed_errors import pack, reseal_error
from .transitions import Ledger

PAGE_COUNT = 500
Part = tuple[str, str, bytes, bytes]  # key, field or "", what stands there, what is to stand there


def reseal_all(ledger: Ledger, seal: Seal, index: Callable[[EventRecord], str]) -> Iterator[tuple[str, str]]:
    """Each event that another key than the first one sealed, and what was done: moved, busy, or why not.

    index: the digests by which the event is found. Raises what Redis raises.
    """
    first, start = seal.first_key, 0
    while page := ledger.client.zrange(ledger.keys.name("events"), start, start + PAGE_COUNT - 1):
        start += len(page)
        events = [decode_text(event) for event in page]
        records = read_hashes(ledger, [ledger.keys.event(event) for event in events])
        for event, record in zip(events, records, strict=True):
            old = decode_text(record.get(b"key", b""))
            if record and old != first:
                yield event, reseal(ledger, seal, event, record, index)


def reseal(
    ledger: Ledger, seal: Seal, event: str, record: dict[bytes, bytes], index: Callable[[EventRecord], str]
) -> str:
    old, texts = decode_text(record.get(b"key", b"")), read_texts(record)
    digests = ""
    parts: list[Part] = []
    try:
        body = ledger.client.get(ledger.keys.body(event))
        if isinstance(body, bytes):
            opened = seal.open(old, read_labels(event, texts), body)
            parts.append((ledger.keys.body(event), "", body, seal.close(opened)[1]))
            digests = index(opened)
        if error := record.get(b"sealed_error", b""):
            parts.append(
                (ledger.keys.event(event), "sealed_error", error, reseal_error(seal, event, error.decode()).encode())
            )
        for unit in list_units(event, record):
            parts += list_run_parts(ledger, seal, unit)
    except SealError as error:
        return str(error)
    values = [value for part in parts for value in part]
    done = ledger.call("reseal.lua", ledger.keep, event, old, seal.first_key, digests, *values)
    return "moved" if done else "busy"


def list_run_parts(ledger: Ledger, seal: Seal, unit: str) -> Iterator[Part]:
    """What is sealed of a run: its error, those of its last attempts, its calls."""
    run, calls = read_hashes(ledger, [ledger.keys.run(unit), ledger.keys.name(f"calls:{unit}")])
    if error := run.get(b"sealed_error", b""):
        yield ledger.keys.run(unit), "sealed_error", error, reseal_error(seal, unit, error.decode()).encode()
    if packed := run.get(b"past", b""):
        past = [msgspec.structs.replace(one, sealed=reseal_error(seal, unit, one.sealed)) for one in read_past(packed)]
        yield ledger.keys.run(unit), "past", packed, pack(past)
    for field, sealed in calls.items():
        name = decode_text(field)
        yield ledger.keys.name(f"calls:{unit}"), name, sealed, seal.rewrap(f"calls:{unit}:{name}", sealed)
