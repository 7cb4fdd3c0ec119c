"""Dispatch: find the handlers that want an event, and make one run for each."""

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import msgspec

from receiver.contract.body import read
from receiver.contract.errors import Altered, UnknownKey, Unreadable
from receiver.contract.keys import hash_handler, make_run_id
from receiver.contract.payload_paths import find_value
from receiver.contract.records import EventRecord, EventState
from receiver.contract.seal import Seal

from ..event import Event, make_event_with_payload
from ..handler import Handler
from ..ledger.blind_index import list_digests
from ..ledger.transitions import Ledger
from ..ledger.units import Claim, Decision, NewRun
from ..router import Router
from .attempt import Attempt
from .flow_control import find_lane, name_lane

log = logging.getLogger(__name__)


class DispatchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The decision about an event, and what the first attempt needs if it begins at once."""

    claim: Claim
    decision: Decision
    begins: Handler | None = None
    opened: EventRecord | None = None
    payload: Any = None


def plan(claim: Claim, router: Router, seal: Seal, *, begin: bool = False, lane_key: bytes = b"") -> DispatchPlan:
    """Decides which handlers want an event. begin: whether the first run may be claimed when it is created.

    lane_key: by which lanes are named; b"" if it is not known.

    Never raises but for faults of ours.
    """
    try:
        opened = seal.open(claim.key, claim.labels, claim.sealed)
    except UnknownKey:
        return end_without_runs(claim, "parked", "unknown-seal-key")
    except Altered:
        return end_without_runs(claim, EventState.DEAD, "altered")
    try:
        payload = read(opened.content)
    except Unreadable as error:
        return end_without_runs(claim, EventState.UNREADABLE, error.cause)
    handlers = router.find_matching(claim.labels.source, claim.labels.type, claim.labels.origin, opened.content.stem)
    digests = index_event(opened, payload, seal) if opened.content.index else ""
    if not handlers:
        hint = router.find_hint(claim.labels.source, claim.labels.type)
        return end_without_runs(claim, EventState.UNHANDLED, hint, digests, opened)
    asked, event = have_conditions(handlers), None
    if asked and not claim.suspect:  # its code may have killed the process: then each run asks its own
        event = make_event_with_payload(opened, payload)
        handlers = tuple(handler for handler in handlers if wants(handler, event))
    if not handlers:
        return end_without_runs(claim, EventState.UNHANDLED, digests=digests, opened=opened)
    first = next((one for one in handlers if one.is_free), None) if begin and not asked else None
    decision = Decision(
        unit=claim.unit,
        token=claim.token,
        verdict=EventState.DISPATCHED,
        runs=tuple(
            [
                make_run(
                    one,
                    one is first,
                    find_lane_at_dispatch(one, opened, payload, event, lane_key) if one.ordered else "",
                    router.find_dead_hook(one.name),
                )
                for one in handlers
            ]
        ),
        digests=digests,
    )
    return DispatchPlan(claim=claim, decision=decision, begins=first, opened=opened, payload=payload)


def index_event(opened: EventRecord, payload: Any, seal: Seal) -> str:
    """The digests by which the event is found, where its source declares any paths."""
    content, kind = opened.content, opened.labels.type
    return list_digests(seal, {path: find_value(payload, kind, path, content.resource) for path in content.index})


def end_without_runs(
    claim: Claim, verdict: str, cause: str = "", digests: str = "", opened: EventRecord | None = None
) -> DispatchPlan:
    decision = Decision(unit=claim.unit, token=claim.token, verdict=verdict, cause=cause, digests=digests)
    return DispatchPlan(claim=claim, decision=decision, opened=opened)


def make_run(handler: Handler, begins: bool, lane: str, dead_hook: str) -> NewRun:
    run = make_run_without_lane(handler.name, begins, handler.delay, handler.stops_on_dead, dead_hook)
    return msgspec.structs.replace(run, lane=lane) if lane else run


@lru_cache(maxsize=1024)
def make_run_without_lane(name: str, begins: bool, delay: float, stops_on_dead: bool, dead_hook: str) -> NewRun:
    return NewRun(
        suffix=hash_handler(name),
        handler=name,
        begins=begins,
        delay_ms=int(delay * 1000),
        holds=stops_on_dead,
        hook=f"{hash_handler(dead_hook)} {dead_hook}" if dead_hook else "",
    )


def have_conditions(handlers: Iterable[Handler]) -> bool:
    """Whether a dispatch calls an author's code: a `when`, or the `key` of an ordered handler."""
    return any(handler.when or (handler.ordered and callable(handler.key)) for handler in handlers)


def find_lane_at_dispatch(
    handler: Handler, opened: EventRecord, payload: Any, event: Event | None, lane_key: bytes
) -> str:
    """The lane of an ordered handler's run; "" if its `key` raises, or may not be asked: then its run joins it later.

    event: None if no author's code may be called.
    """
    if handler.key and not lane_key:
        return ""
    if not callable(handler.key):
        return name_lane(handler, handler.read_key(payload, opened.labels.type, opened.content.resource), lane_key)
    try:
        return find_lane(handler, event, lane_key) if event else ""
    except BaseException:
        return ""


def wants(handler: Handler, event: Event) -> bool:
    try:
        return handler.wants(event)
    except BaseException:  # its run will raise the same again, and show it as that handler's own failure
        return True


def record(
    decided: list[DispatchPlan],
    ledger: Ledger,
    now: float,
    on_recorded: Callable[[DispatchPlan, str], None] | None = None,
) -> list[Attempt]:
    """Ends the dispatches in the ledger, all in one round trip; the attempts that are ours now. now: monotonic.

    on_recorded: hears of each dispatch what became of its event.
    """
    begun = []
    for one, (state, *runs) in zip(decided, ledger.finish_dispatches([one.decision for one in decided]), strict=True):
        if on_recorded:
            on_recorded(one, state)
        if one.decision.cause:
            extra = {"event": one.claim.unit, "state": state, "cause": one.decision.cause}
            log.warning("event not dispatched", extra=extra)
        if runs:
            begun.append(make_first_attempt(one, now))
    return begun


def make_first_attempt(one: DispatchPlan, now: float) -> Attempt:
    assert one.begins
    assert one.opened
    labels, name = one.claim.labels, one.begins.name
    claim = Claim(
        unit=make_run_id(labels.id, name),
        token=1,
        key=one.claim.key,
        sealed=b"",
        labels=labels,
        handler=name,
        attempt=1,
        is_replay=one.claim.is_replay,
        claimed_at=now,
    )
    event = make_event_with_payload(one.opened, one.payload, is_replay=claim.is_replay, handler=name)
    return Attempt(claim=claim, handler=one.begins, event=event)
