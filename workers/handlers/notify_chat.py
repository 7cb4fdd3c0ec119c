"""Tells a chat channel what happens: CHAT_URL is an incoming webhook that takes {"text": ...}, as Slack's do.

CHAT_TYPES names the types, a comma list; failures and invoices where nothing is said.
"""

import os

from workers import Event, Router, post

from .environment import needed

router = Router()
URL = needed("CHAT_URL", "the channel's incoming webhook")
USUAL = "virtual_server.error,job.failed,payment.failed,invoice.generated,sla.*"
TYPES = [one.strip() for one in (os.environ.get("CHAT_TYPES") or USUAL).split(",") if one.strip()]


def notify(event: Event) -> None:
    post(URL, json={"text": f"Zyra: {event.type} {event.resource_id}".rstrip()})


for one in TYPES:
    router.on(one, name=f"workers.handlers.notify_chat {one}")(notify)
