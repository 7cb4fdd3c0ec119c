"""Returns lost work to the queue. All workers sweep; the script makes concurrent sweeps safe."""

import logging
import time
from dataclasses import dataclass

from receiver.contract.connection import FAULTS, compute_memory_share

from .transitions import Ledger, SweepResult

log = logging.getLogger(__name__)
CONTACT_SECONDS = 8.0  # by then every living supervisor has renewed its leases
WATCH_ABOVE_SHARE = 0.7  # of Redis' memory above which it is looked at often
REPORT_SECONDS = 5.0  # between two lines about what went early
SHED_ABOVE_SHARE = 0.8  # of Redis' memory above which finished events go: well below where deliveries are refused
MAKE_ROOM_SECONDS = 0.5  # that one look at the memory may take


@dataclass(slots=True)
class Sweeper:
    """Ends leases only after CONTACT_SECONDS of unbroken contact: after an outage all workers renew first.

    A jump of Redis' clock counts as an outage: it would end all leases at once.
    """

    ledger: Ledger
    keep_done_min: float = 0.0  # seconds that a finished event stays, whatever the need
    contact_since: float = 0.0  # monotonic; 0 while there is none
    bodies: int = 0  # that went early, and records; neither is in the log yet
    records: int = 0
    next_report: float = 0.0
    clock: float = 0.0  # how far Redis' clock is ahead of our monotonic one, in seconds; 0 while we do not know

    def sweep(self) -> SweepResult | None:
        """What was put back, or None where Redis does not answer."""
        now = time.monotonic()
        try:
            expected = int((now + self.clock) * 1000) if self.clock else 0
            result = self.ledger.sweep(leases=0 < self.contact_since <= now - CONTACT_SECONDS, expected=expected)
        except FAULTS as error:
            self.lose_contact()
            log.warning("sweep failed", extra={"error": str(error)})
            return None
        self.clock = result.now / 1000 - now
        if result.jumped:
            self.lose_contact()
            log.warning("Redis' clock jumped: leases end only after a while")
        self.contact_since = self.contact_since or now
        self._replay_redeliveries()
        if result.expired or result.lost:
            log.warning("recovered", extra={"expired_leases": result.expired, "lost": result.lost})
        return result

    def _replay_redeliveries(self) -> None:
        """Replays failed events that the provider delivered again: it had its 2xx, so a person asked for that."""
        try:
            for event in self.ledger.list_redeliveries():
                outcome, queued = self.ledger.replay(event, reason="the provider delivered it again")
                log.info("redelivered", extra={"event": event, "outcome": outcome, "runs": queued})
                self.ledger.forget_redelivery(event)
        except FAULTS as error:
            log.warning("redeliveries wait", extra={"error": str(error)})

    def lose_contact(self) -> None:
        self.contact_since = 0.0

    def make_room(self) -> bool:
        """Where Redis is short of memory, drops bodies of finished events, then their records, until it is not.

        Whether to look again soon: a fast sender fills what is left within a second. Raises what Redis raises.
        """
        ends = time.monotonic() + MAKE_ROOM_SECONDS
        while (share := self._measure_memory()) > SHED_ABOVE_SHARE and time.monotonic() < ends:
            dropped, deleted = self.ledger.make_room(self.keep_done_min)
            self.bodies, self.records = self.bodies + dropped, self.records + deleted
            if not dropped + deleted:
                break
        if self.bodies + self.records and time.monotonic() >= self.next_report:
            facts = {"bodies": self.bodies, "records": self.records}
            log.warning("Redis is short of memory: finished events deleted before their time", extra=facts)
            self.bodies, self.records, self.next_report = 0, 0, time.monotonic() + REPORT_SECONDS
        return share > WATCH_ABOVE_SHARE

    def _measure_memory(self) -> float:
        return compute_memory_share(self.ledger.client.info("memory"))
