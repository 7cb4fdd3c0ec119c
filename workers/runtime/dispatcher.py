"""Dispatches in batches: plans each event, records all in one round trip, and retries until Redis answers."""

import logging
import time
from collections.abc import Callable, Sequence

from msgspec import structs

from receiver.contract.connection import FAULTS
from receiver.contract.errors import SealError
from receiver.contract.seal import Seal

from ..ledger.transitions import Ledger
from ..ledger.units import Claim, Outcome, Ticket, Verdict, make_outcome
from ..router import Router
from .attempt import Attempt
from .dispatch import DispatchPlan, have_conditions, plan, record
from .failures import describe_error, list_frames

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0  # until a record is tried again
MAX_WAIT_SECONDS = 0.02  # for earlier dispatches of other processes
LOOK_SECONDS = 0.001


class Dispatcher:
    """worn: why this process cannot go on, or "". hand_over: takes what it therefore leaves to its parent.

    on_dispatched: hears the first attempts that are ours now, and which dispatches are over. on_died: of one that
    failed by a fault of ours; the third time the event is a dead letter.
    """

    def __init__(
        self,
        ledger: Ledger,
        router: Router,
        seal: Seal,
        *,
        worn: Callable[[], str],
        hand_over: Callable[[list[Outcome]], None],
        on_dispatched: Callable[[Sequence[Attempt], Sequence[Ticket]], None],
        on_died: Callable[[Outcome], None],
        on_recorded: Callable[[DispatchPlan, str], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._router = router
        self._seal = seal
        self._worn = worn
        self._hand_over = hand_over
        self._on_dispatched = on_dispatched
        self._on_died = on_died
        self._on_recorded = on_recorded
        self._is_ordered = any(handler.ordered for handler in router)
        self._names_lanes = any(handler.ordered and handler.key for handler in router)

    def must_be_apart(self, claim: Claim) -> bool:
        """Whether the dispatch must not be part of a batch: it calls user code (`when`), or a process died with it."""
        source, kind = claim.labels.source, claim.labels.type  # nobody has opened it yet: its type may be composed
        return claim.suspect or have_conditions(self._router.find_matching(source, kind, stem=kind.partition(".")[0]))

    def dispatch(self, claims: Sequence[Claim], begin: bool) -> None:
        """begin: whether first runs may begin here. Returns when it is recorded, or left to somebody else."""
        decided = [one for claim in claims if (one := self._decide(claim, begin))]
        while decided and not self._try_record(decided):
            time.sleep(RETRY_SECONDS)

    def _decide(self, claim: Claim, begin: bool) -> DispatchPlan | None:
        try:
            return plan(claim, self._router, self._seal, begin=begin, lane_key=self._load_lane_key())
        except Exception as error:
            log.exception("dispatch failed", extra={"event": claim.unit})
            died = make_outcome(claim, Verdict.DIED, describe_error(error))
            self._on_died(structs.replace(died, frames=list_frames(error)))
            return None

    def _load_lane_key(self) -> bytes:
        """b"" if no lane is named by it, or SEAL_KEY cannot open it. Waits until Redis answers."""
        while self._names_lanes:
            try:
                return self._ledger.lane_key
            except SealError as error:
                log.error("cannot name the keys of ordered handlers, so their order is not kept: %s", error)
                return b""
            except FAULTS as error:
                log.warning("dispatch waits for Redis", extra={"error": str(error)})
                time.sleep(RETRY_SECONDS)
        return b""

    def _wait_for_earlier(self, decided: list[DispatchPlan]) -> None:
        """Gives other processes a moment to end earlier dispatches: then ordered runs can begin at once."""
        if not self._is_ordered or not any(run.lane for one in decided for run in one.decision.runs):
            return
        units, ends = {"", *(one.claim.unit for one in decided)}, time.monotonic() + MAX_WAIT_SECONDS
        while self._ledger.find_first_undispatched() not in units and time.monotonic() < ends:
            time.sleep(LOOK_SECONDS)

    def _try_record(self, decided: list[DispatchPlan]) -> bool:
        """Whether the dispatches are over for us; else they are to be tried again."""
        claims, begun = [one.claim for one in decided], list[Attempt]()
        try:
            self._wait_for_earlier(decided)
            begun = record(decided, self._ledger, time.monotonic(), self._on_recorded)
        except FAULTS as error:
            log.warning("dispatch not recorded yet", extra={"events": len(claims), "error": str(error)})
            if not self._worn():
                return False
            self._hand_over([make_outcome(claim, Verdict.HANDED) for claim in claims])
            return True
        except Exception:  # a fault of ours, as above
            log.exception("dispatch failed", extra={"events": len(claims)})
        self._on_dispatched(begun, [claim.ticket for claim in claims])
        return True
