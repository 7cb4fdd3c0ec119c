"""Posts state changes to the endpoints that want them. The signature is made here, apart from the receiver's engine."""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
from typing import Any

import httpx2

from .chaos import Chaos
from .rows import Row
from .shapes import Shape, render_payload
from .state import State, format_now

log = logging.getLogger(__name__)
MAX_DELIVERIES = 200  # deliveries of an endpoint
RETRY_SECONDS = (1, 2, 4, 8, 16, 32, 60, 60)  # between tries; Zyra's own schedule is not known


class Webhooks:
    def __init__(
        self, state: State, http: httpx2.AsyncClient, shape: Shape | None = None, chaos: Chaos | None = None
    ) -> None:
        self._state = state
        self._http = http
        self._shape = shape or Shape()
        self._chaos = chaos or Chaos()
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, kind: str, data: dict[str, Any]) -> int:
        """Posts one event to every endpoint whose list names it: to how many."""
        event = f"evt_{secrets.token_hex(12)}"
        body = json.dumps(render_payload(self._shape, event, kind, format_now(), data)).encode()
        wanted = [endpoint for endpoint in self._state.endpoints.values() if kind in endpoint["events"]]
        for endpoint in wanted:
            delivery = self._record(endpoint, kind, body)
            for delay in self._chaos.draw_delays():
                self._begin(endpoint, kind, body, delivery, delay)
        return len(wanted)

    def send_again(self, endpoint: Row, delivery: Row) -> None:
        """Posts a delivery once more, byte for byte."""
        self._begin(endpoint, delivery["event_type"], delivery["body"].encode(), delivery)

    def _record(self, endpoint: Row, kind: str, body: bytes) -> Row:
        deliveries = self._state.deliveries.setdefault(endpoint["id"], {})
        name = f"del_{secrets.token_hex(8)}"
        deliveries[name] = {"id": name, "event_type": kind, "status": "pending", "attempts": 0, "body": body.decode()}
        while len(deliveries) > MAX_DELIVERIES:
            del deliveries[next(iter(deliveries))]
        return deliveries[name]

    def _begin(self, endpoint: Row, kind: str, body: bytes, delivery: Row, delay: float = 0.0) -> None:
        task = asyncio.create_task(self._deliver(endpoint, kind, body, delivery, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, endpoint: Row, kind: str, body: bytes, delivery: Row, delay: float) -> None:
        await asyncio.sleep(delay)
        for wait in RETRY_SECONDS:
            if endpoint["id"] not in self._state.endpoints:
                break
            if delivery["attempts"] and self._chaos.strikes("rewrite"):
                body = json.dumps(json.loads(body), indent=1).encode()
            signature = hmac.new(endpoint["secret"].encode(), body, hashlib.sha256).hexdigest()
            headers = {"content-type": "application/json", "x-zyra-event": kind, "x-zyra-signature": signature}
            delivery["attempts"] += 1
            try:
                response = await self._http.post(endpoint["url"], content=body, headers=headers)
                delivery["response_status"] = response.status_code
                if response.is_success:
                    delivery["status"] = "delivered"
                    return
                log.info("delivery refused", extra={"status": response.status_code, "type": kind})
            except Exception as error:  # whatever a URL leads to that is none
                log.info("delivery failed", extra={"error": str(error), "type": kind})
            await asyncio.sleep(wait)
        delivery["status"] = "failed"
        log.warning("delivery given up", extra={"type": kind})
