"""Prepares one attempt of a run, and decides what its end means."""

import logging
import random
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from receiver.contract.errors import Altered, SealError, UnknownKey, Unreadable
from receiver.contract.keys import make_run_id
from receiver.contract.logs import format_time
from receiver.contract.seal import Seal

from ..errors import GiveUp, LeaseLost, RetryLater
from ..event import Event, Failure, make_event
from ..handler import Handler, may_match
from ..ledger.query import list_dead_runs
from ..ledger.transitions import Ledger
from ..ledger.units import Claim, Outcome, Verdict, make_outcome
from ..router import Router
from .failures import describe_error, find_cause, list_frames, name_kind
from .flow_control import find_hold, find_lane

log = logging.getLogger(__name__)
FIRST, FACTOR, LONGEST = 5.0, 4.0, 6 * 3600.0  # seconds of back-off
PARKED_SECONDS = 60.0  # until a worker looks again for a handler or a key
MAX_UNPREPARED_ATTEMPTS = 8  # attempts that may fail before we know the handler's own limit


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """Ready to run. slot: the lane of whose places it has one, or "". age: see `Handler.find_age`."""

    claim: Claim
    handler: Handler
    event: Event
    slot: str = ""
    age: float | None = None

    def describe(self) -> dict[str, Any]:
        """What each log line about it says."""
        claim = self.claim
        return {"event": claim.event, "run": claim.unit, "handler": self.handler.name, "attempt": claim.attempt}


def prepare(claim: Claim, router: Router, seal: Seal, ledger: Ledger) -> Attempt | Outcome:
    """The attempt, or an outcome if it must not start. Raises redis errors only."""
    try:
        opened = seal.open(claim.key, claim.labels, claim.sealed)
        event = make_event(opened, attempt=claim.attempt, is_replay=claim.is_replay, handler=claim.handler)
    except UnknownKey as error:
        return make_outcome(claim, Verdict.BUSY, str(error), PARKED_SECONDS)  # until somebody brings the key back
    except (Altered, Unreadable) as error:
        return make_outcome(claim, Verdict.REFUSED, f"{type(error).__name__.lower()}: {error}")
    handler = router.get(claim.handler)
    if handler is None:
        return make_outcome(
            claim, Verdict.MISSING, f"no-such-handler: no worker has {claim.handler[:100]!r}", PARKED_SECONDS
        )
    is_match = handler.is_dead_hook or may_match(handler, event.source, event.type, event.origin, event.stem)
    if make_run_id(claim.event, claim.handler) != claim.unit or not is_match:
        return make_outcome(claim, Verdict.REFUSED, f"{claim.handler} is not for {event.source} {event.type}")
    if handler.is_dead_hook:
        event = msgspec.structs.replace(event, failures=list_failures(ledger, claim.event))
    try:
        wanted = handler.wants(event)
    except BaseException as error:  # a `when` that raises SystemExit ends its attempt, not the worker
        return judge_failure(claim, handler, error)
    if not wanted:
        return make_outcome(claim, Verdict.SKIPPED, f"{claim.handler} does not want the event: its `when` says no")
    try:
        lane_key = ledger.lane_key if handler.key else b""
    except SealError as error:
        return make_outcome(claim, Verdict.BUSY, str(error), PARKED_SECONDS)
    try:
        lane, age = find_lane(handler, event, lane_key), handler.find_age(event)
    except BaseException as error:
        return judge_failure(claim, handler, error)
    if handler.ordered and not claim.lane:
        ledger.join_lane(claim.ticket, lane, handler.stops_on_dead)
        return make_outcome(claim, Verdict.HANDED)
    if held := find_hold(handler, claim, lane, age, ledger):
        return held
    return Attempt(claim=claim, handler=handler, event=event, slot=lane if handler.concurrency else "", age=age)


def list_failures(ledger: Ledger, event: str) -> tuple[Failure, ...]:
    return tuple(
        Failure(handler=run["handler"], attempts=run["attempts"], error=run["error"])
        for run in list_dead_runs(ledger, event)
    )


def judge_failure(claim: Claim, handler: Handler, error: BaseException) -> Outcome:
    """The outcome of an attempt that raised: retried, later, or dead."""
    description = describe_error(error)
    if isinstance(error, LeaseLost):
        return make_outcome(claim, Verdict.HANDED, description)
    if isinstance(error, RetryLater):
        return make_outcome(claim, Verdict.LATER, description, error.seconds)
    is_last = is_last_failure(error, claim.failures, handler)
    return Outcome(
        unit=claim.unit,
        token=claim.token,
        verdict=Verdict.DEAD if is_last else Verdict.FAILED,
        delay=0.0 if is_last else draw_backoff(claim.failures, handler.backoff),
        error=description,
        frames=list_frames(error),
        cause=find_cause(error, handler),
    )


def is_last_failure(error: BaseException, failures: int, handler: Handler) -> bool:
    """Whether the run is a dead letter now. failures: earlier ones."""
    if isinstance(error, RetryLater):
        return False
    return isinstance(error, GiveUp) or failures + 1 >= handler.max_attempts


def judge_unprepared(unit: str, token: int, failures: int, error: str) -> Outcome:
    """The outcome of an attempt that failed before its handler was called."""
    last = failures + 1 >= MAX_UNPREPARED_ATTEMPTS
    verdict, delay = (Verdict.DEAD, 0.0) if last else (Verdict.FAILED, draw_backoff(failures))
    return Outcome(unit=unit, token=token, verdict=verdict, error=error, delay=delay)


def make_timeout_error(handler: Handler) -> TimeoutError:
    return TimeoutError(f"not done after {handler.timeout:g} s")


def judge_timeout(claim: Claim, handler: Handler) -> Outcome:
    return judge_failure(claim, handler, make_timeout_error(handler))


class End(msgspec.Struct, gc=False):
    """What the log says of an attempt's end."""

    time: str
    event: str
    type: str
    resource: str
    handler: str
    attempt: int
    outcome: str
    ms: float


def describe_end(ready: Attempt, verdict: Verdict, seconds: float) -> End:
    claim, event, ms = ready.claim, ready.event, round(seconds * 1000, 1)
    now = format_time(time.time())
    return End(now, event.id, event.type, event.resource_id, ready.handler.name, claim.attempt, verdict.value, ms)


def conclude(ready: Attempt, error: BaseException | None, seconds: float = 0.0, log_errors: bool = False) -> Outcome:
    """The outcome of a handler's end. Logs failures. seconds: that it took.

    log_errors: whether messages of exceptions, which may hold parts of a payload, are logged too.
    """
    if error is None:
        unit, token = ready.claim.ticket
        return Outcome(unit=unit, token=token, verdict=Verdict.DONE, slot=ready.slot, age=ready.age)
    outcome = msgspec.structs.replace(judge_failure(ready.claim, ready.handler, error), slot=ready.slot)
    extra = msgspec.structs.asdict(describe_end(ready, outcome.verdict, seconds))
    extra.pop("time")
    level = LEVELS.get(outcome.verdict, logging.WARNING)
    if log_errors:
        log.log(level, "attempt ended: %s", outcome.error[:200], extra=extra, exc_info=error if outcome.cause else None)
        return outcome
    place = f" at {outcome.cause.place}" if outcome.cause and outcome.cause.place else ""
    extra |= {"traceback": "\n".join(list_frames(error, code=False))} if outcome.frames else {}
    log.log(level, "attempt ended: %s%s", name_kind(error), place, extra=extra)
    return outcome


LEVELS = {Verdict.LATER: logging.INFO, Verdict.DEAD: logging.ERROR}  # that a run comes back is no trouble


def draw_backoff(failures: int, waits: Sequence[float] = ()) -> float:
    """Seconds until the next attempt, each 20 % more or less: 5 s, 20 s, 80 s ... up to 6 h.

    waits: the handler's own; the last counts for all that follow.
    """
    usual = min(FIRST * FACTOR ** min(failures, 10), LONGEST)
    wait = waits[min(failures, len(waits) - 1)] if waits else usual
    return wait * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
