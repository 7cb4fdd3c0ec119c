"""The clients that handlers are given, each for one attempt: with journal, lease and a share of the budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from receiver.contract.secrets import Secret

from ..context import Lease
from ..ledger.transitions import Ledger
from ..settings import Settings
from ..zyra.budget import Budget
from ..zyra.caller import Terms
from ..zyra.client import AsyncZyra, Zyra
from ..zyra.credentials import ApiKey, Login, Ring
from ..zyra.journal import Journal
from ..zyra.routes import table
from .attempt import Attempt


@dataclass(frozen=True)
class Clients:
    """Of one process; the async one belongs to the loop that first uses it."""

    settings: Settings
    ledger: Ledger

    def blocking(self, ready: Attempt, lease: Lease) -> Zyra:
        return self._sync.within(self._terms_of(self._sync.terms, ready, lease))

    def awaiting(self, ready: Attempt, lease: Lease) -> AsyncZyra:
        return self._async.within(self._terms_of(self._async.terms, ready, lease))

    def _terms_of(self, terms: Terms, ready: Attempt, lease: Lease) -> Terms:
        claim = ready.claim
        journal = Journal(self.ledger, self.settings.seal, claim.unit, claim.token, claim.attempt, ready.event.key)
        return replace(terms, journal=journal, guard=lease.check, who=ready.handler.name)

    @cached_property
    def _sync(self) -> Zyra:
        return Zyra(self.settings.api_url, terms=terms(self.settings, self.ledger))

    @cached_property
    def _async(self) -> AsyncZyra:
        return AsyncZyra(self.settings.api_url, terms=terms(self.settings, self.ledger))


def terms(found: Settings, ledger: Ledger | None) -> Terms:
    """ledger: whose Redis holds the budget; without one nobody counts."""
    budget = Budget(ledger.client, found.api_limits, found.api_minute) if ledger else None
    scim = ApiKey(first(found.scim_token)) if found.scim_token else None
    return Terms(ring=ring(found, ledger), scim=scim, routes=found.api_routes or table(), budget=budget)


def ring(found: Settings, ledger: Ledger | None) -> Ring:
    if found.api_user and found.api_password and ledger:
        return Login(found.api_user, first(found.api_password), ledger.client, found.seal, found.api_routes or table())
    return ApiKey(first(found.api_key))


def first(secret: Secret | None) -> Callable[[], str]:
    """Reads a secret's newest value anew each time; "" where there is none."""
    return (lambda: secret.values[0]) if secret else str
