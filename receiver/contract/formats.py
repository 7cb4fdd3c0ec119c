"""The format of a ledger's records: which ones this release writes, and which ones it can read.

The key `format` holds the oldest format that stands in a ledger, from its first event on. A record without a number is
of format 1. What has a later one than ours is left alone until a process that knows it comes by.
"""

from collections.abc import Sequence
from typing import Any

import redis

from .connection import is_cluster
from .keys import Keys
from .records import read_number

FORMAT = 1  # of what we write; we read the one before, too


def list_evidence(client: Any, keys: Keys) -> list[str]:
    """Keys whose values say whether we may work on the ledger, for `find_fault`. client: connected, blocking or not."""
    found = [keys.name("ordinal"), keys.name("format")]
    return found if is_cluster(client) else [*found, keys.earlier_ordinal]  # in a cluster no ledger was of that kind


def look_at_ledger(client: redis.Redis, keys: Keys) -> str:
    """What `find_fault` says of the ledger on this server. Raises what Redis raises."""
    client.ping()  # only a client that is connected knows whether that is to a cluster
    return find_fault(keys, client.mget(list_evidence(client, keys)))


def find_fault(keys: Keys, evidence: Sequence[object]) -> str:
    """Why a process of this release must not start on the ledger, and what to do; "" if it may."""
    ordinal, number, *earlier = evidence
    found = ""
    if any(earlier):
        found = "has no hash tag in its keys"
    elif ordinal is not None and read_number(number) < max(1, FORMAT - 1):
        found = f"has format {read_number(number)}" if number is not None else "has no format number"
    return found and (
        f"the ledger of QUEUE={keys.queue} {found}: a release that is too old wrote it. Drain it with that release, "
        f"then start empty: QUEUE={keys.queue}-{FORMAT} for all receivers and workers"
    )
