"""What the ledger's transitions are given and answer: claims of units of work, and how those end."""

from enum import StrEnum

import msgspec

from receiver.contract.keys import read_event_id
from receiver.contract.records import Labels

Ticket = tuple[str, int]  # a unit, and the token under which it was claimed


class Verdict(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"  # an ordinary failure: again after a while
    LATER = "later"  # RetryLater: again at a time, costs no budget
    DEAD = "dead"  # GiveUp, or the budget is spent
    REFUSED = "refused"  # the handler does not match the event, or the seal does not open
    MISSING = "missing"  # this worker does not have the handler
    BUSY = "busy"  # the handler's places are all taken
    HANDED = "handed"  # given back: not started, or stopped for no fault of its own
    DIED = "died"  # its process died while it ran alone, or with a dispatch
    SKIPPED = "skipped"  # the handler does not want the event after all


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A unit of work that is ours until its lease ends: a dispatch if handler is "", else an attempt."""

    unit: str
    token: int
    key: str  # id of the key that sealed the event
    sealed: bytes
    labels: Labels
    handler: str = ""
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    suspect: bool = False
    lane: str = ""  # of an ordered handler, where its dispatch knew it
    is_replay: bool = False
    claimed_at: float = 0.0  # on this machine's monotonic clock, before the claim was sent

    @property
    def event(self) -> str:
        return read_event_id(self.unit)

    @property
    def ticket(self) -> Ticket:
        return self.unit, self.token


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What failures with one cause have in common. kind: the exception's class. place: the line of the handler's code.

    words: the message without what differs from one event to the next. path: the functions that led there.
    """

    handler: str
    kind: str
    place: str = ""
    words: str = ""
    path: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended."""

    unit: str
    token: int
    verdict: Verdict
    delay: float = 0.0  # seconds until the next attempt
    error: str = ""
    frames: tuple[str, ...] = ()  # the last lines of its traceback, without messages
    cause: Cause | None = None  # of a failure of the handler's own
    ms: int = 0  # that the attempt took
    tallies: dict[str, int] = {}
    slot: str = ""  # the lane of whose places the run has one, or waits for one if it is busy
    places: int = 0  # that there are, where it waits for one
    age: float | None = None  # of its event, by which later ones of its lane are known to be stale

    @property
    def ticket(self) -> Ticket:
        return self.unit, self.token


def make_outcome(
    claim: Claim, verdict: Verdict, error: str = "", delay: float = 0.0, slot: str = "", places: int = 0
) -> Outcome:
    """The outcome of a claim. slot, places: see `Outcome`."""
    unit, token = claim.ticket
    return Outcome(unit=unit, token=token, verdict=verdict, error=error, delay=delay, slot=slot, places=places)


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An outcome as `finish.lua` reads it, by these names. error: sealed, or ""."""

    unit: str
    token: int
    verdict: Verdict
    delay: float
    error: str
    ms: int
    tallies: dict[str, int]
    cause: dict[str, str] | None = None
    slot: str = ""
    places: int = 0
    age: float | None = None


class NewRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """suffix: of the run's id. begins: its first attempt starts in this process at once. delay_ms: until it may.

    lane: whose runs start one after the other, in the order in which their events were accepted, or "".
    holds: whether the lane stops if the run becomes a dead letter. hook: what runs then: suffix and handler, or "".
    """

    suffix: str
    handler: str
    begins: bool = False
    delay_ms: int = 0
    lane: str = ""
    holds: bool = False
    hook: str = ""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """How a dispatch ends; `dispatch.lua` reads it by these names."""

    unit: str
    token: int
    verdict: str
    cause: str = ""
    runs: tuple[NewRun, ...] = ()
    digests: str = ""  # by which `events list --where` finds the event, comma list
