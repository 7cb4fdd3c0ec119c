"""The spans of a dispatch and of an attempt."""

import time

from receiver.contract.tracing import CHILD_SECONDS, Span, Tracing

from .attempt import Attempt
from .dispatch import DispatchPlan


def start_attempt(tracing: Tracing, ready: Attempt) -> Span:
    """A part of the event's trace, if that is fresh; else a trace of its own with a link to it.

    A trace that a retry prolongs for hours is of no use to its reader.
    """
    claim, event = ready.claim, ready.event
    age = time.time() - claim.labels.received_at / 1000
    is_part = claim.attempt == 1 and not claim.is_replay and age <= CHILD_SECONDS
    trace = event.traceparent
    return tracing.start(
        f"attempt {ready.handler.name}",
        "consumer",
        parent=trace if is_part else "",
        link="" if is_part else trace,
        zr__event=event.id,
        zr__source=event.source,
        zr__type=event.type,
        zr__handler=ready.handler.name,
        zr__attempt=claim.attempt,
        zr__replay=claim.is_replay,
    )


def trace_dispatch(tracing: Tracing, one: DispatchPlan, state: str) -> None:
    """A dispatch that is recorded now. state: what became of the event."""
    now, labels = time.time(), one.claim.labels
    began = now - (time.monotonic() - one.claim.claimed_at)
    span = tracing.start(
        "dispatch",
        "consumer",
        parent=one.opened.content.traceparent if one.opened else "",
        at=began,
        zr__event=labels.id,
        zr__source=labels.source,
        zr__type=labels.type,
        zr__state=state,
        zr__runs=len(one.decision.runs),
    )
    span.end(at=now)
