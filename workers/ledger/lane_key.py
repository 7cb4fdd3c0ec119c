"""The secret by which lanes are named after their keys: made once for a ledger, and kept in it, sealed.

So a lane keeps its name when SEAL_KEY changes.
"""

import logging
import os

import redis

from receiver.contract.errors import Altered
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal

log = logging.getLogger(__name__)
NAME = "lane_key"
KEY_ID_BYTES = 8  # with which wrapped bytes begin


def load_lane_key(client: redis.Redis, keys: Keys, seal: Seal) -> bytes:
    """Raises UnknownKey where SEAL_KEY lacks the key that sealed it, and what Redis raises."""
    name = keys.name(NAME)
    client.set(name, seal.wrap(NAME, os.urandom(32)), nx=True)
    answer = client.get(name)
    sealed = answer if isinstance(answer, bytes) else b""
    try:
        found = seal.unwrap(NAME, sealed)
    except Altered:
        log.error("the secret that names lanes was altered in Redis: lanes begin anew")
        found = os.urandom(32)
        sealed = b""
    if sealed[:KEY_ID_BYTES] != seal.first_key.encode():
        client.set(name, seal.wrap(NAME, found))
    return found
