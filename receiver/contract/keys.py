"""Names: the ids of events, runs and jobs, and the keys of the ledger.

event id   evt_ and 26 letters: 48 bits of time in ms, then 80 random bits, in Crockford's base 32; sorts by time
run id     event id, "-", 12 hex digits of the handler's name
job id     ordinal, "-", event id or run id: a job of RQ says by its id alone what it is for and when it was queued
"""

import hashlib
import random
import re
from dataclasses import dataclass
from functools import lru_cache

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
FIVE_BITS = bytes(ord(ALPHABET[byte & 31]) for byte in range(256))  # a random byte as a random letter
EVENT = re.compile(r"evt_[0-9a-z]{26}")
JOB = re.compile(r"([0-9]{1,15})-(evt_[0-9a-z]{26})(-[0-9a-f]{12})?")


def make_event_id(milliseconds: int) -> str:
    return f"evt_{encode_time(milliseconds)}{random.randbytes(16).translate(FIVE_BITS).decode()}"  # noqa: S311 - no secret


@lru_cache(maxsize=4)
def encode_time(milliseconds: int) -> str:
    """48 bits in ten letters; many events share a millisecond."""
    return "".join(ALPHABET[(milliseconds >> shift) & 31] for shift in range(45, -5, -5))


def make_run_id(event: str, handler: str) -> str:
    return f"{event}-{hash_handler(handler)}"


@lru_cache(maxsize=1024)
def hash_handler(handler: str) -> str:
    """The part of a run's id that stands for its handler."""
    return hashlib.sha256(handler.encode()).hexdigest()[:12]


def read_event_id(unit: str) -> str:
    """The event that a unit of work, an event's dispatch or a run, belongs to."""
    return unit[:30]


def is_run(unit: str) -> bool:
    return len(unit) > 30


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue's ledger; `ledger.lua` writes the same names."""

    queue: str
    rq_prefix: str = "rq"

    @property
    def prefix(self) -> str:
        return f"zr:{self.queue}:"

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
