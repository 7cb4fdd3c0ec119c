"""Puts back what was lost on the way. Every worker sweeps, any number at once: each step is guarded in the ledger."""

import logging
import time
from dataclasses import dataclass

from receiver.contract.connection import FAULTS

from .ledger import LEASE, Ledger, Swept

log = logging.getLogger(__name__)
SHED_ABOVE = 0.8  # share of Redis' memory above which bodies of finished events are dropped


@dataclass(slots=True)
class Sweeper:
    """Leases expire only after a whole lease's time of unbroken contact: after an outage everybody may renew first."""

    ledger: Ledger
    contact_since: float = 0.0  # monotonic; 0 while there is none

    def sweep(self) -> Swept | None:
        """What was put back, or None where Redis does not answer."""
        now = time.monotonic()
        try:
            found = self.ledger.sweep(leases=0 < self.contact_since <= now - LEASE)
        except FAULTS as error:
            self.lose_contact()
            log.warning("sweep failed", extra={"error": str(error)})
            return None
        self.contact_since = self.contact_since or now
        if found.expired or found.lost:
            log.warning("recovered", extra={"expired_leases": found.expired, "lost": found.lost})
        return found

    def lose_contact(self) -> None:
        self.contact_since = 0.0

    def shed(self) -> None:
        """Drops bodies of finished events where Redis is short of memory. Raises what Redis raises."""
        info = self.ledger.client.info("memory")
        limit = int(info.get("maxmemory", 0))
        if limit and int(info["used_memory"]) / limit > SHED_ABOVE:
            dropped = self.ledger.shed()
            log.warning("Redis is short of memory: bodies of finished events dropped", extra={"dropped": dropped})
