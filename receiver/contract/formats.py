"""The format of a ledger's records: which ones this release writes, and which ones it can read.

The key `format` holds the oldest format that stands in a ledger, from its first event on. A record without a number is
of format 1. What has a later one than ours is left alone until a process that knows it comes by.
"""

from .keys import Keys
from .records import read_number

FORMAT = 1  # of what we write; we read the one before, too


def list_evidence(keys: Keys) -> tuple[str, str]:
    """Two keys whose values say whether we may work on the ledger: see `find_fault`."""
    return keys.name("ordinal"), keys.name("format")


def find_fault(keys: Keys, ordinal: object, number: object) -> str:
    """Why a process of this release must not start on the ledger, and what to do; "" if it may."""
    if ordinal is None or read_number(number) >= max(1, FORMAT - 1):
        return ""
    found = f"has format {read_number(number)}" if number is not None else "has no format number"
    return (
        f"the ledger of QUEUE={keys.queue} {found}: a release that is too old wrote it. Drain it with that release, "
        f"then start empty: QUEUE={keys.queue}-{FORMAT} for all receivers and workers"
    )
