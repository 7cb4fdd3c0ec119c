"""Tells a chat channel what happens: CHAT_URL is an incoming webhook that takes {"text": ...}, as Slack's do.

CHAT_TYPES names the types, a comma list; failures and invoices where nothing is said. Types and ids are other people's
words: what could be markup, a mention or a line of its own is percent-encoded.
"""

import os
from urllib.parse import quote

from workers import Event, Router, post

from .environment import require

router = Router()
URL = require("CHAT_URL", "the channel's incoming webhook")
USUAL = "virtual_server.error,job.failed,payment.failed,invoice.generated,sla.*"
TYPES = [one.strip() for one in (os.environ.get("CHAT_TYPES") or USUAL).split(",") if one.strip()]


def notify(event: Event) -> None:
    post(URL, json={"text": f"Zyra: {strip_markup(event.type)} {strip_markup(event.resource_id)}".rstrip()})


def strip_markup(text: str) -> str:
    """The text in letters, digits and ._:/- alone."""
    return quote(text[:250], safe="._:/-").replace("~", "%7E")


for one in TYPES:
    router.on(one, name=f"workers.handlers.notify_chat {one}")(notify)
