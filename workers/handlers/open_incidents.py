"""Opens an incident when an SLA breach starts and resolves it when the breach ends: at PagerDuty, or at INCIDENT_URL.

Both events carry one key, so repetitions do no harm. The end may arrive first: the breach is read before one is opened.
https://developer.pagerduty.com/docs/events-api-v2/trigger-events/
https://getzyra.io/documentation/user-guides/organization/stage-3/02-sla-alerts
"""

import os
from typing import Any

from workers import Event, Router, Zyra, post

from .environment import needed

router = Router()
PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
ROUTING_KEY = os.environ.get("PAGERDUTY_ROUTING_KEY", "")
URL = os.environ.get("INCIDENT_URL") or (
    PAGERDUTY if ROUTING_KEY else needed("PAGERDUTY_ROUTING_KEY", "or set INCIDENT_URL, which gets the same JSON")
)


@router.on("sla.breach.started")
def opened(event: Event, zyra: Zyra) -> None:
    breach = next((row for row in zyra.sla.breaches() if row.id == event.resource_id), None)
    if breach is None or breach.status != "resolved":  # else its end was told before its beginning
        post(URL, json=told(event, "trigger"))


@router.on("sla.breach.resolved", reconciled=True)
def resolved(event: Event) -> None:
    post(URL, json=told(event, "resolve"))


def told(event: Event, action: str) -> dict[str, Any]:
    payload = {"summary": f"SLA breach {event.resource_id}", "source": "zyra", "severity": "critical"}
    return {
        "routing_key": ROUTING_KEY,
        "event_action": action,
        "dedup_key": f"zyra-breach-{event.resource_id}",
        "payload": payload | {"timestamp": event.received_at.isoformat(), "custom_details": event.payload},
    }
