"""Finds events for people, also by a value of their payload: in the blind index, else by opening each."""

import heapq
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from receiver.contract.body import read
from receiver.contract.connection import decode_text
from receiver.contract.errors import SealError, Unreadable
from receiver.contract.payload_paths import find_value
from receiver.contract.seal import Seal

from ..ledger import query
from ..ledger.blind_index import look_up
from ..ledger.transitions import Ledger


def find_events(ledger: Ledger, seal: Seal, wanted: query.Filter) -> Iterator[dict[str, Any]]:
    """Events that fit, newest first, at most `limit`."""
    if wanted.where is None:
        yield from query.search(ledger, wanted)
        return
    path, value = wanted.where
    unlimited = replace(wanted, limit=2**63)
    streams = [list_indexed(ledger, seal, unlimited, path, value)]
    indexed = list_indexing_sources(ledger, path)
    if wanted.source not in indexed and not covers_all(ledger, indexed):
        streams.append(open_each(ledger, seal, unlimited, path, value, indexed))
    last, left = "", wanted.limit
    for event in heapq.merge(*streams, key=lambda one: str(one["id"]), reverse=True):
        if left and event["id"] != last:
            last, left = event["id"], left - 1
            yield event
        if not left:
            return


def list_indexing_sources(ledger: Ledger, path: str) -> set[str]:
    """Sources that say they index the path."""
    declared = ledger.client.hgetall(ledger.keys.name("indexed"))
    return {decode_text(source) for source, paths in declared.items() if path in decode_text(paths).split(",")}


def covers_all(ledger: Ledger, indexed: set[str]) -> bool:
    """Whether all sources that were ever heard of index the path."""
    heard = {decode_text(source) for source in ledger.client.hkeys(ledger.keys.name("heard"))}
    return bool(heard) and heard <= indexed


def list_indexed(ledger: Ledger, seal: Seal, wanted: query.Filter, path: str, value: str) -> Iterator[dict[str, Any]]:
    pages = list(look_up(ledger, seal, path, value))
    ids = sorted({event for page in pages for event in page}, reverse=True)
    for start in range(0, len(ids), query.PAGE_COUNT):
        for event in query.list_events(ledger, ids[start : start + query.PAGE_COUNT]):
            if wanted.fits(event, query.parse_time(event["received_at"])):
                yield event


def open_each(
    ledger: Ledger, seal: Seal, wanted: query.Filter, path: str, value: str, indexed: set[str]
) -> Iterator[dict[str, Any]]:
    """Events of sources that do not index the path."""
    for event in query.search(ledger, wanted):
        if event["source"] in indexed:
            continue
        try:
            opened = query.open_event(ledger, seal, event["id"])
            payload = read(opened.content)
        except (SealError, Unreadable):
            continue
        if find_value(payload, event["type"], path, opened.content.resource) == value:
            yield event
