"""Alerts when a device has been offline for longer than OFFLINE_GRACE seconds (300): at CHAT_URL, as {"text": ...}.

An agent that is silent for a minute counts as offline, so devices flap.
https://getzyra.io/documentation/user-guides/device-owner/stage-1/05-dashboard-tour
"""

from datetime import UTC, datetime
from urllib.parse import quote

from workers import Event, GiveUp, RetryLater, Router, Zyra, ZyraError, post

from .environment import read_seconds, require

router = Router()
URL = require("CHAT_URL", "the channel's incoming webhook")
GRACE = read_seconds("OFFLINE_GRACE", 300)
OFFLINE = ("offline", "unreachable", "disconnected", "lost", "down")
WELL = ("online", "active", "approved", "busy", "idle", "in_use")  # the first two take work; of others no page speaks
GONE = ("removed", "revoked", "rejected", "deleted")


@router.on("device.offline", reconciled=True)
def offline(event: Event, zyra: Zyra) -> None:
    if not event.resource_id:
        raise GiveUp("the event names no device: say where its id is by `resource_id` of the source")
    left = GRACE - (datetime.now(UTC) - event.received_at).total_seconds()
    if left > 0:
        raise RetryLater(left, "it may come back")
    try:
        state = zyra.devices.get(event.resource_id).state
    except ZyraError as error:
        if error.status != 404:  # removed
            raise
        return
    if state in OFFLINE:
        post(URL, json={"text": f"Zyra: device {quote(event.resource_id, safe='')} has been offline for {GRACE:.0f} s"})
    elif state not in (*WELL, *GONE):
        raise GiveUp(f"device {event.resource_id} is in state {state!r}, which is not known: look at it")
