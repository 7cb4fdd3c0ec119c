"""Makes the context of an attempt."""

from functools import cache

from ..context import Context, Lease
from ..ledger.transitions import Ledger
from ..zyra.journal import Journal
from .attempt import Attempt


def make_context(ledger: Ledger, lease: Lease, ready: Attempt) -> Context:
    claim = ready.claim

    @cache
    def open_journal() -> Journal:
        assert ledger.seal, "a worker has a seal"
        return Journal(ledger, ledger.seal, claim.unit, claim.token, claim.attempt, ready.event.key)

    return Context(ledger, lease, who=ready.handler.name, open_journal=open_journal, redis=lambda: ledger.of_api)
