"""Finds events by a value of their payload. Redis holds only keyed digests of such values.

For each path that a source declares in `index`, the dispatch adds an entry to the sorted set `blind_index`: a digest of
path and value under a key derived from SEAL_KEY, then the event's id. It is deleted with its event.
"""

from collections.abc import Iterator, Mapping

from receiver.contract.connection import decode_text
from receiver.contract.seal import Seal

from .transitions import Ledger

PAGE_COUNT = 1000


def list_digests(seal: Seal, values: Mapping[str, str]) -> str:
    """Digests of values by their paths, as a comma list."""
    return ",".join(seal.compute_index_digest(describe(path, value)) for path, value in values.items() if value)


def describe(path: str, value: str) -> bytes:
    return f"{path}\n{value}".encode("utf-8", "replace")


def look_up(ledger: Ledger, seal: Seal, path: str, value: str) -> Iterator[list[str]]:
    """Pages of ids of events whose entry was written under any key of SEAL_KEY, the newest first."""
    name = ledger.keys.name("blind_index")
    for digest in seal.list_index_digests(describe(path, value)):
        offset = 0
        while page := ledger.client.zrevrangebylex(name, f"[{digest};", f"[{digest}:", start=offset, num=PAGE_COUNT):
            offset += len(page)
            yield [decode_text(member).partition(":")[2] for member in page]
