"""Forwards every event to FORWARD_URL, signed by the rules of Standard Webhooks with FORWARD_SECRET (whsec_...).

The body is the one that came; the event's id is the idempotency key. Who else gets it must be in the open internet.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import time
from urllib.parse import quote

from workers import Event, Router, post

from .environment import require

router = Router()
URL = require("FORWARD_URL", "who else is to get the events")


def parse_key(text: str) -> bytes:
    """The key. Raises ValueError for one that is too short, because it could be guessed."""
    try:
        raw = base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith("whsec_") or not 24 <= len(raw) <= 64:
        raise ValueError("FORWARD_SECRET must be whsec_ and 24 to 64 bytes in base64")
    return raw


KEY = parse_key(require("FORWARD_SECRET", "whsec_ and 24 to 64 bytes in base64"))


@router.on("*", source="*")
def forward(event: Event) -> None:
    moment = str(int(time.time()))
    text = f"{event.id}.{moment}.".encode() + event.body
    signature = base64.b64encode(hmac.digest(KEY, text, "sha256")).decode()
    headers = {
        "webhook-id": event.id, "webhook-timestamp": moment, "webhook-signature": f"v1,{signature}",
        "content-type": event.headers.get("content-type", "application/json"),
        "x-event-type": quote(event.type), "x-event-source": event.source,
    }  # fmt: skip
    post(URL, content=event.body, headers=headers)
