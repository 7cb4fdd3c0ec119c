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
from .contract.payload_paths import read_resource_id
from .inbox import Receipt
from .responses import Headers
from .sources import Accepted

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.02  # for which deliveries wait for others: many lines at once cost a third of as many single ones
ECHOED = {b"x-request-id": "request_id", b"traceparent": "traceparent"}  # headers that go back; their names in a line
SAMPLE_SECONDS = 1.0  # between two lines of a source's refused deliveries


class Line(msgspec.Struct, gc=False, omit_defaults=True):
    """What the log says of an accepted delivery."""

    time: str
    event: str
    source: str
    type: str
    resource: str
    verdict: str  # accepted, or duplicate
    status: int
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
        self._waiting: list[tuple[float, Accepted, Receipt, int, float, Headers]] = []
        self._next_sample: dict[str, float] = {}
        self._unlogged: dict[str, int] = {}  # refused deliveries since the last line of their source

    def accept(self, accepted: Accepted, receipt: Receipt, status: int, seconds: float, echo: Headers) -> None:
        """Where `is_on`. seconds: that the delivery took. echo: the headers that go back."""
        if not self._waiting:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self.flush)
        self._waiting.append((time.time(), accepted, receipt, status, seconds, echo))

    def flush(self) -> None:
        """Writes the lines of deliveries that wait."""
        waiting, self._waiting = self._waiting, []
        self._lines.write([make_line(*one) for one in waiting])

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


def make_line(at: float, accepted: Accepted, receipt: Receipt, status: int, seconds: float, echo: Headers) -> Line:
    labels = accepted.event.labels
    line = Line(
        logs.format_time(at),
        receipt.id,
        labels.source,
        labels.type,
        read_resource_id(accepted.event.content, labels.type),
        "duplicate" if receipt.duplicate else "accepted",
        status,
        int(seconds * 10_000) / 10,  # round() takes twice the time
        labels.delivery_id,
    )
    for name, value in echo:
        setattr(line, ECHOED[name], value.decode("latin-1"))
    return line
