"""Logs every event of every source: to see what arrives."""

import logging

from workers import Event, Router

router = Router()
log = logging.getLogger(__name__)


@router.on("*", source="*")
def log_event(event: Event) -> None:
    fields = {"event": event.id, "source": event.source, "type": event.type, "resource": event.resource_id}
    log.info("event received", extra=fields)
