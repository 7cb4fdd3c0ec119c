"""Alerts when a device has been offline for longer than OFFLINE_GRACE seconds (300): at CHAT_URL, as {"text": ...}.

An agent that is silent for a minute counts as offline, so devices flap.
https://getzyra.io/documentation/user-guides/device-owner/stage-1/05-dashboard-tour
"""

from datetime import UTC, datetime
from urllib.parse import quote

from workers import Event, RetryLater, Router, Zyra, ZyraError, post

from .environment import read_seconds, require

router = Router()
URL = require("CHAT_URL", "the channel's incoming webhook")
GRACE = read_seconds("OFFLINE_GRACE", 300)
WELL = ("online", "active")  # both take work; how all else is called, no page says
GONE = ("removed", "revoked", "rejected")


@router.on("device.offline", reconciled=True)
def offline(event: Event, zyra: Zyra) -> None:
    left = GRACE - (datetime.now(UTC) - event.received_at).total_seconds()
    if left > 0:
        raise RetryLater(left, "it may come back")
    try:
        status = str(zyra.devices.get(event.resource_id).status).lower()
    except ZyraError as error:
        if error.status != 404:  # removed
            raise
        return
    if status not in (*WELL, *GONE):
        post(URL, json={"text": f"Zyra: device {quote(event.resource_id, safe='')} has been offline for {GRACE:.0f} s"})
