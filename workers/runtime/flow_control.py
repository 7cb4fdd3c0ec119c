"""Flow control: whether an attempt may start now, as its handler's `debounce`, `rate`, `concurrency` and `newest` say.

A lane is what they count by: a handler, or one key of it. `ordered` is decided when a run is claimed: lanes.lua.
"""

import hmac
from typing import Protocol

from receiver.contract.keys import read_event_id

from ..event import Event
from ..handler import Handler
from ..ledger.units import Claim, Outcome, Verdict, make_outcome

BUSY_SECONDS = 15.0  # until a run asks again for a place if nobody wakes it
RATE_MARGIN_SHARE = 0.05  # of its window, that a rate waits longer: attempts start a moment after they may, some later
MAX_RATE_MARGIN_SECONDS = 1.0


class Lanes(Protocol):
    """What is asked of the ledger; it says what each means."""

    def settle_debounce(self, lane: str, run: str, quiet: float, longest: float, newest: bool) -> tuple[float, str]: ...
    def plan_start(self, lane: str, most: int, seconds: float, attempt: str) -> float: ...
    def take_place(self, lane: str, places: int, run: str) -> bool: ...
    def is_stale(self, lane: str, age: float) -> bool: ...


def find_lane(handler: Handler, event: Event, lane_key: bytes) -> str:
    """The lane of a run. Raises what the author's `key` raises."""
    return name_lane(handler, handler.find_key(event), lane_key)


def name_lane(handler: Handler, key: str, lane_key: bytes) -> str:
    """The handler's name, with a keyed digest of the key if there is one."""
    if handler.key is None:
        return handler.name
    return f"{handler.name}:{hmac.digest(lane_key, key.encode('utf-8', 'replace'), 'sha256').hex()[:16]}"


def find_hold(handler: Handler, claim: Claim, lane: str, age: float | None, ledger: Lanes) -> Outcome | None:
    """The outcome of an attempt that must not start now: it waits, or is skipped. age: see `Handler.find_age`."""
    if handler.debounce:
        seconds, instead = ledger.settle_debounce(
            lane, claim.unit, handler.debounce, handler.at_most, handler.keeps_newest
        )
        if instead:
            return make_outcome(claim, Verdict.SKIPPED, f"superseded by {read_event_id(instead)}")
        if seconds:
            return make_outcome(claim, Verdict.BUSY, delay=seconds)
    if handler.rate:
        starts, window = handler.rate
        margin = min(RATE_MARGIN_SHARE * window, MAX_RATE_MARGIN_SECONDS)
        seconds = ledger.plan_start(lane, starts, window + margin, f"{claim.unit} {claim.attempt}")
        if seconds:
            return make_outcome(claim, Verdict.BUSY, delay=seconds)
    if handler.concurrency and not ledger.take_place(lane, handler.concurrency, claim.unit):
        return make_outcome(claim, Verdict.BUSY, delay=BUSY_SECONDS, slot=lane, places=handler.concurrency)
    if age is not None and ledger.is_stale(lane, age):
        return make_outcome(claim, Verdict.SKIPPED, "stale: a newer event of its key is done", slot=lane)
    return None
