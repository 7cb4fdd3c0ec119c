"""Makes the context of an attempt."""

from ..context import Context, Lease
from ..ledger.transitions import Ledger
from ..zyra.journal import Journal
from .attempt import Attempt


class JournalOfAttempt:
    """The journal of a run's calls, made when the first client asks for it: one for all of them."""

    __slots__ = ("_journal", "_ledger", "_ready")

    def __init__(self, ledger: Ledger, ready: Attempt) -> None:
        self._ledger = ledger
        self._ready = ready
        self._journal: Journal | None = None

    def open(self) -> Journal:
        if self._journal is None:
            assert self._ledger.seal, "a worker has a seal"
            claim, key = self._ready.claim, self._ready.event.key
            self._journal = Journal(self._ledger, self._ledger.seal, claim.unit, claim.token, claim.attempt, key)
        return self._journal


def make_context(ledger: Ledger, lease: Lease, ready: Attempt) -> Context:
    journal = JournalOfAttempt(ledger, ready)
    return Context(ledger, lease, ready.handler.name, journal.open, ledger.open_api_client)
