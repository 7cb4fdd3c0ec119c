"""Opens an incident when an SLA breach starts and resolves it when the breach ends: at PagerDuty, or at INCIDENT_URL.

Both events carry one key, so repetitions do no harm. Zyra does not sign the type of an event, and the end may arrive
first: the breach is read before anything is opened or resolved.
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
https://getzyra.io/documentation/user-guides/organization/stage-3/02-sla-alerts
"""

import os
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from workers import Event, GiveUp, RetryLater, Router, Zyra, post

from .environment import require

router = Router()
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
ROUTING_KEY = os.environ.get("PAGERDUTY_ROUTING_KEY", "")
URL = os.environ.get("INCIDENT_URL") or (
    PAGERDUTY if ROUTING_KEY else require("PAGERDUTY_ROUTING_KEY", "or set INCIDENT_URL, which gets the same JSON")
)
OVER = ("resolved", "closed", "ended")  # no page says how Zyra calls it; a word that we do not know is no end
AGAIN_SECONDS = 60.0  # until a breach that is said to be resolved is looked at again
BELIEVED_SECONDS = 3600.0  # after which an event that the API does not confirm is a dead letter
MAX_BREACHES = 1000  # breaches that are looked through, in five reads; one that stands further down counts as open


@router.on("sla.breach.started")
def open_incident(event: Event, zyra: Zyra) -> None:
    if not is_over(find_breach(event), zyra):  # else its end was told before its beginning
        post(URL, json=describe(event, "trigger"))
        if is_over(find_breach(event), zyra):  # and its end was told while we spoke
            post(URL, json=describe(event, "resolve"))


@router.on("sla.breach.resolved", reconciled=True)
def resolve_incident(event: Event, zyra: Zyra) -> None:
    name = find_breach(event)
    if not is_over(name, zyra):
        if (datetime.now(UTC) - event.received_at).total_seconds() > BELIEVED_SECONDS:
            raise GiveUp(f"Zyra does not list {name} as resolved: look at it; the event may be forged")
        raise RetryLater(AGAIN_SECONDS, f"Zyra does not list {name} as resolved yet")
    post(URL, json=describe(event, "resolve"))


def is_over(name: str, zyra: Zyra) -> bool:
    row = next((row for row in islice(zyra.sla.breaches(), MAX_BREACHES) if row.id == name), None)
    return row is not None and (row.state in OVER or bool(row.get("resolved_at")))


def find_breach(event: Event) -> str:
    """The breach's id. Raises GiveUp without one, because an end could not be matched to its breach."""
    if not event.resource_id:
        raise GiveUp("the event names no breach: say where its id is by `resource_id` of the source")
    return event.resource_id


def describe(event: Event, action: str) -> dict[str, Any]:
    payload = {"summary": f"SLA breach {find_breach(event)}", "source": "zyra", "severity": "critical"}
    return {
        "routing_key": ROUTING_KEY,
        "event_action": action,
        "dedup_key": f"zyra-breach-{find_breach(event)}",
        "payload": payload | {"timestamp": event.received_at.isoformat(), "custom_details": event.payload},
    }
