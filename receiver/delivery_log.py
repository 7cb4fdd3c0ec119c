"""One line in the log for each delivery. Of refused deliveries one a second for each source: anybody may send those."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.types import Scope

from .client_address import Network, find_client
from .contract import logs

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.2  # for which lines wait for others: a write for each would slow deliveries down
SAMPLE_SECONDS = 1.0  # between two lines of a source's refused deliveries


class Line(msgspec.Struct, gc=False, omit_defaults=True):
    """What the log says of an accepted delivery."""

    event: str
    source: str
    type: str
    verdict: str  # accepted, or duplicate
    ms: float
    delivery_id: str = ""
    request_id: str = ""
    traceparent: str = ""


class DeliveryLog:
    """Of one server process. is_on: whether accepted deliveries are logged; refused ones always are."""

    def __init__(self, is_on: bool, trusted_proxies: Sequence[Network] = ()) -> None:
        self.is_on = is_on and log.isEnabledFor(logging.INFO)
        self._trusted_proxies = trusted_proxies
        self._lines = logs.Lines(log, "delivery")
        self._next_sample: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}  # refused deliveries since the last line of their source

    def accept(self, line: Line) -> None:
        """Where `is_on`."""
        if not self._lines:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        self._lines.add(line)

    def flush(self) -> None:
        """Writes the lines that wait."""
        self._lines.flush()

    def refuse(self, scope: Scope, source: str, status: int, cause: str, request_id: str) -> None:
        """source: "" of a path that names none."""
        now = time.monotonic()
        if now < self._next_sample.get(source, 0.0):
            self._unlogged[source] = self._unlogged.get(source, 0) + 1
            return
        self._next_sample[source] = now + SAMPLE_SECONDS
        facts: dict[str, Any] = {"source": source, "status": status, "cause": cause}
        facts["client"] = find_client(scope, self._trusted_proxies)
        if request_id:
            facts["request_id"] = request_id
        if unlogged := self._unlogged.pop(source, 0):
            facts["not_logged"] = unlogged
        log.warning("delivery refused", extra=facts)
