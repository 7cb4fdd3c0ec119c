"""Records outcomes in batches, and keeps them until Redis takes them."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from receiver.contract.connection import FAULTS

from ..ledger.transitions import Ledger
from ..ledger.units import Outcome, Ticket
from . import limits
from .pipe import Pipe, pack_outcome

log = logging.getLogger(__name__)
GATHER_SECONDS = 0.002  # that one end waits for others
OFTEN_SECONDS = 0.05  # since the last record
RETRY_SECONDS = 1.0  # until it is tried again
MAX_BATCH = 256  # outcomes in one round trip


class Recorder:
    """A thread. ended: hears which units are recorded, and whether the parent knows already."""

    def __init__(
        self, ledger: Ledger, pipe: Pipe, memory: int, on_recorded: Callable[[Sequence[Ticket], bool], None]
    ) -> None:
        self._ledger = ledger
        self._pipe = pipe
        self._memory = memory
        self._on_recorded = on_recorded
        self._written_at = 0.0
        self._outcomes: queue.SimpleQueue[Outcome | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._record, name="record", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, ended: Outcome) -> None:
        self._outcomes.put(ended)

    def stop(self) -> None:
        """Returns when everything is recorded."""
        self._outcomes.put(None)
        self._thread.join()

    def hand_over(self, batch: list[Outcome]) -> None:
        """Hands outcomes to the supervisor, if this process has no memory or file descriptor left to reach Redis."""
        self._pipe.send(record=[pack_outcome(one) for one in batch])
        self._on_recorded([one.ticket for one in batch], True)

    def _record(self) -> None:
        batch: list[Outcome] = []
        last = False
        while batch or not last:
            if not batch:
                batch, last = self._gather()
            elif self._try_write(batch):
                batch = []

    def _try_write(self, batch: list[Outcome]) -> bool:
        try:
            self._ledger.finish(batch)
        except FAULTS as error:
            log.warning("outcomes not recorded yet", extra={"waiting": len(batch), "error": str(error)})
            if limits.find_wear(self._memory):
                self.hand_over(batch)
                return True
            time.sleep(RETRY_SECONDS)
            return False
        self._written_at = time.monotonic()
        self._on_recorded([one.ticket for one in batch], False)
        return True

    def _gather(self) -> tuple[list[Outcome], bool]:
        """Waiting outcomes. If they come often, waits GATHER_SECONDS so that several are recorded together."""
        outcomes = [self._outcomes.get()]
        if self._outcomes.empty() and time.monotonic() - self._written_at < OFTEN_SECONDS:
            time.sleep(GATHER_SECONDS)
        while not self._outcomes.empty() and len(outcomes) < MAX_BATCH:
            outcomes.append(self._outcomes.get())
        return [one for one in outcomes if one is not None], None in outcomes
