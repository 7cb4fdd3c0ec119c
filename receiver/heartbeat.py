"""A dead man's switch: calls HEARTBEAT_URL once a minute while all is well.

The service behind the URL raises the alarm when the calls stop.
Such services take a GET: https://healthchecks.io/docs/http_api/
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from .contract.connection import FAULTS
from .contract.keys import Keys
from .contract.survey import survey
from .readiness import Watch

if TYPE_CHECKING:
    import httpx2  # a large library, for those who set HEARTBEAT_URL

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 60.0
CALL_SECONDS = 5.0


class Heartbeat:
    """client: a blocking one of Redis. transport: of the call, for tests."""

    def __init__(
        self, url: str, client: Any, keys: Keys, watch: Watch, transport: "httpx2.AsyncBaseTransport | None" = None
    ) -> None:
        self._url = url  # may hold a secret: it is not logged
        self._client = client
        self._keys = keys
        self._watch = watch
        self._transport = transport
        self._obstacle = ""

    async def beat_forever(self) -> None:
        try:
            while True:
                await asyncio.sleep(INTERVAL_SECONDS)
                await self.beat()
        finally:
            self._client.close()

    async def beat(self) -> bool:
        """Whether the URL was called, and answered 2xx."""
        obstacle = await self._find_obstacle() or await self._call()
        if obstacle != self._obstacle:
            log.warning("heartbeat not sent: %s", obstacle) if obstacle else log.warning("heartbeat sent again")
            self._obstacle = obstacle
        return not obstacle

    async def _find_obstacle(self) -> str:
        """What is not well, or ""."""
        if reasons := self._watch.unhealthy:
            return reasons[0]
        try:
            status = await asyncio.to_thread(survey, self._client, self._keys)
        except FAULTS as error:
            return f"Redis does not answer: {type(error).__name__}"
        if not status.workers:
            return "no worker"
        return "; ".join(trouble.what for trouble in status.stuck)

    async def _call(self) -> str:
        """Why the call failed, or ""."""
        import httpx2

        try:
            async with httpx2.AsyncClient(timeout=CALL_SECONDS, transport=self._transport) as http:
                answer = await http.get(self._url)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return f"HEARTBEAT_URL cannot be called: {type(error).__name__}"
        return "" if answer.is_success else f"HEARTBEAT_URL answers {answer.status_code}"
