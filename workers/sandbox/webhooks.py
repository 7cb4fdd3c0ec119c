"""Posts state changes to the endpoints that want them. The signature is made here, apart from the receiver's engine."""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from datetime import UTC, datetime
from typing import Any

import httpx2

from .state import State

log = logging.getLogger(__name__)
WAITS = (1, 2, 4, 8, 16, 32, 60, 60)  # seconds between tries; Zyra's own schedule is not known


class Webhooks:
    def __init__(self, state: State, http: httpx2.AsyncClient) -> None:
        self._state = state
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Posts one event to every endpoint whose list names it."""
        moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        event = {"id": f"evt_{secrets.token_hex(12)}", "event": kind, "created_at": moment, "data": data}
        body = json.dumps(event).encode()
        for endpoint in self._state.endpoints.values():
            if kind in endpoint["events"]:
                task = asyncio.create_task(self._deliver(endpoint, kind, body))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _deliver(self, endpoint: dict[str, Any], kind: str, body: bytes) -> None:
        signature = hmac.new(endpoint["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-zyra-event": kind, "x-zyra-signature": signature}
        for wait in WAITS:
            try:
                response = await self._http.post(endpoint["url"], content=body, headers=headers)
                if response.is_success:
                    return
                log.info("delivery refused", extra={"status": response.status_code, "type": kind})
            except httpx2.HTTPError as error:
                log.info("delivery failed", extra={"error": str(error), "type": kind})
            await asyncio.sleep(wait)
        log.warning("delivery given up", extra={"type": kind})
