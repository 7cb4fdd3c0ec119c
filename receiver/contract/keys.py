"""Names: the ids of events, runs and jobs, and the keys of the ledger.

event id   evt_ and 26 letters in Crockford's base 32: 48 bits of time in ms, 10 that count within it, 70 random bits.
           Ids of one process sort in the order in which they were made
run id     event id, "-", 12 hex digits of the handler's name
job id     ordinal, "-", event id or run id: a job of RQ says by its id alone what it is for and when it was queued
"""

import hashlib
import random
import re
from dataclasses import dataclass
from functools import lru_cache

API_TAG = "{api}"  # the hash tag of what the workers of all queues share
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
FIVE_BITS = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))  # a random byte as a random letter
COUNTERS = tuple(first + second for first in ALPHABET for second in ALPHABET)
MAX_COUNT = len(COUNTERS) - 1
EVENT = re.compile(r"evt_[0-9a-z]{26}")
JOB = re.compile(r"([0-9]{1,15})-(evt_[0-9a-z]{26})(-[0-9a-f]{12})?")


class EventIds:
    """Makes the ids of one process. Of more than 1,024 in a millisecond, the last ones are in no order."""

    def __init__(self) -> None:
        self._milliseconds = 0
        self._count = 0

    def make(self, milliseconds: int) -> str:
        if milliseconds != self._milliseconds:
            self._milliseconds, self._count = milliseconds, 0
        counter = COUNTERS[min(self._count, MAX_COUNT)]
        self._count += 1
        return f"evt_{encode_time(milliseconds)}{counter}{random.randbytes(14).translate(FIVE_BITS).decode()}"  # noqa: S311 - no secret


@lru_cache(maxsize=4)
def encode_time(milliseconds: int) -> str:
    """48 bits in ten letters; many events share a millisecond."""
    return "".join(ALPHABET[(milliseconds >> shift) & 31] for shift in range(45, -5, -5))


make_event_id = EventIds().make


def make_run_id(event: str, handler: str) -> str:
    return f"{event}-{hash_handler(handler)}"


@lru_cache(maxsize=1024)
def hash_handler(handler: str) -> str:
    """The part of a run's id that stands for its handler."""
    return hashlib.sha256(handler.encode()).hexdigest()[:12]


def find_tag(key: str) -> str:
    """The hash tag of a key with its braces, or "" where it has none."""
    found = re.search(r"\{([^}]*)\}", key)
    return found[0] if found and found[1] else ""


def read_event_id(unit: str) -> str:
    """The event that a unit of work, an event's dispatch or a run, belongs to."""
    return unit[:30]


def is_run(unit: str) -> bool:
    return len(unit) > 30


def list_script_keys(prefix: str) -> tuple[str, str]:
    """The keys that every script declares: one that always exists, and one that never does.

    While a slot moves key by key, a node that holds only a part of it then answers TRYAGAIN or ASK before the script
    begins.
    """
    return f"{prefix}anchor", f"{prefix}never"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue's ledger; `ledger.lua` writes the same names.

    All of them, RQ's too, hold one hash tag: in cluster mode they share a slot, so that one script can change them all.
    https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags
    """

    queue: str
    rq_prefix: str = ""  # of RQ's own keys

    def __post_init__(self) -> None:
        if not self.rq_prefix:
            object.__setattr__(self, "rq_prefix", f"{self.tag}:rq")

    @property
    def tag(self) -> str:
        return f"{{{self.queue}}}"

    @property
    def prefix(self) -> str:
        return f"zr:{self.tag}:"

    @property
    def script_keys(self) -> tuple[str, str]:
        """See `list_script_keys`."""
        return list_script_keys(self.prefix)

    @property
    def earlier_ordinal(self) -> str:
        """The key of the last job number in a ledger of 0.1.0, whose keys have no tag."""
        return f"zr:{self.queue}:ordinal"

    @property
    def jobs(self) -> str:
        """RQ's list of job ids."""
        return f"{self.rq_prefix}:queue:{self.queue}"

    @property
    def intermediate(self) -> str:
        return f"{self.jobs}:intermediate"

    def event(self, event: str) -> str:
        return f"{self.prefix}event:{event}"

    def body(self, event: str) -> str:
        return f"{self.prefix}body:{event}"

    def run(self, run: str) -> str:
        return f"{self.prefix}run:{run}"

    def name(self, name: str) -> str:
        """An index or counter, such as events, queued, running, waiting, dead, final, counters, audit."""
        return self.prefix + name
