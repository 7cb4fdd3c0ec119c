"""From the first 503 until deliveries are accepted again: one line in the log when it begins, and one when it ends."""

import logging
import time

from .contract import redis_faults

log = logging.getLogger(__name__)
QUIET_SECONDS = 3.0  # without a 503 until an outage is over: what comes and goes is one outage

REASONS = redis_faults.CAUSES | {  # by the causes of Unavailable
    "slow": "Redis takes longer for a write than a sender may wait",
    "busy": "too many deliveries wait for Redis",
    "full": "as many events are open as MAX_PENDING allows: do workers run?",
    "memory": "Redis is short of memory: raise maxmemory, or shorten KEEP_DONE",
    "durability": "Redis does not meet DURABILITY: `zyra-receiver check` says more",
    "fault": "a fault of ours, whose traceback is in the log",
    "junk": "something else than the ledger stands under one of its names",
    "key": "the provider's keys cannot be fetched",
    "visit": "the provider's address for the confirmation does not answer",
    "secret-file": "the secret that the provider told cannot be stored",
}
OF_SOURCE = ("key", "visit", "secret-file")  # other sources are served


class Outage:
    """Of one server process. reason: why deliveries get 503 now; "" while they do not."""

    def __init__(self) -> None:
        self.reason = ""
        self._began = self._last = 0.0
        self._count = 0  # deliveries that got 503
        self._counted = 0.0  # when the last one of them did

    def count(self, cause: str, source: str) -> None:
        """A delivery got 503."""
        reason = REASONS.get(cause, cause)
        self._note(f"source {source}: {reason}" if cause in OF_SOURCE else reason)
        self._count += 1
        self._counted = self._last

    def find_recent_reason(self) -> str:
        """Why a delivery got 503 a moment ago, or ""."""
        return self.reason if self._count and time.monotonic() - self._counted <= QUIET_SECONDS else ""

    def look(self, reason: str, error: str = "") -> None:
        """Once a second. reason: why the next delivery would get 503, or "". error: what the log says besides."""
        if reason:
            self._note(reason, error)
        elif self.reason and time.monotonic() - self._last > QUIET_SECONDS:
            lasted = self._last - self._began
            log.warning("deliveries are accepted again after %.0f s; %d got 503", lasted, self._count)
            self.reason, self._count = "", 0

    def _note(self, reason: str, error: str = "") -> None:
        self._last = time.monotonic()
        if not self.reason:
            self._began = self._last
            log.warning("deliveries get 503: %s", reason, extra={"error": error} if error else None)
        self.reason = reason
