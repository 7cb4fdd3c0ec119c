"""Dispatch: find the handlers that want an event, and make one run for each."""

import logging

from receiver.contract.errors import Altered, UnknownKey
from receiver.contract.records import EventState
from receiver.contract.seal import Seal

from .errors import Unreadable
from .event import Event, event
from .ledger import Claim, Ledger
from .router import Handler, Router

log = logging.getLogger(__name__)


def dispatch(claim: Claim, router: Router, seal: Seal, ledger: Ledger) -> str:
    """What became of the event, recorded in the ledger; "lost" where somebody else has it now."""
    verdict, cause, handlers = decide(claim, router, seal)
    said = ledger.dispatched(claim, verdict, cause, [handler.name for handler in handlers])
    if cause:
        log.warning("event not dispatched", extra={"event": claim.unit, "state": said, "cause": cause})
    return said


def decide(claim: Claim, router: Router, seal: Seal) -> tuple[str, str, list[Handler]]:
    """State, cause, and the handlers that want the event."""
    try:
        opened = seal.open(claim.key, claim.labels, claim.sealed)
    except UnknownKey:
        return "parked", "unknown-seal-key", []
    except Altered:
        return EventState.DEAD, "altered", []
    if opened.content.doubt:
        return EventState.UNREADABLE, opened.content.doubt, []
    try:
        found = event(opened)
    except Unreadable as error:
        return EventState.UNREADABLE, error.cause, []
    handlers = [handler for handler in router if wants(handler, found)]
    return (EventState.DISPATCHED if handlers else EventState.UNHANDLED), "", handlers


def wants(handler: Handler, found: Event) -> bool:
    try:
        return handler.wants(found)
    except BaseException:  # its run will raise the same again, and show it as that handler's own failure
        return True
