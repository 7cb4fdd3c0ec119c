"""Makes API clients for handlers, each for one attempt, with its journal, lease and share of the budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from receiver.contract.secrets import Secret

from ..context import Lease
from ..ledger.transitions import Ledger
from ..settings import Settings
from ..zyra.budget import Budget
from ..zyra.caller import Caller
from ..zyra.client import AsyncZyra, Zyra
from ..zyra.credentials import ApiKey, Login, Ring
from ..zyra.journal import Journal
from ..zyra.routes import load_default_routes
from .attempt import Attempt


@dataclass(frozen=True)
class Clients:
    """Of one process; the async one belongs to the loop that first uses it."""

    settings: Settings
    ledger: Ledger

    def make_sync(self, ready: Attempt, lease: Lease) -> Zyra:
        return self._sync.within(self._make_caller(self._sync.caller, ready, lease))

    def make_async(self, ready: Attempt, lease: Lease) -> AsyncZyra:
        return self._async.within(self._make_caller(self._async.caller, ready, lease))

    def _make_caller(self, caller: Caller, ready: Attempt, lease: Lease) -> Caller:
        claim = ready.claim
        journal = Journal(self.ledger, self.settings.seal, claim.unit, claim.token, claim.attempt, ready.event.key)
        return replace(caller, journal=journal, guard=lease.check, who=ready.handler.name)

    @cached_property
    def _sync(self) -> Zyra:
        return Zyra(self.settings.api_url, caller=make_caller(self.settings, self.ledger))

    @cached_property
    def _async(self) -> AsyncZyra:
        return AsyncZyra(self.settings.api_url, caller=make_caller(self.settings, self.ledger))


def make_caller(settings: Settings, ledger: Ledger | None) -> Caller:
    """ledger: whose Redis holds the budget; without one nobody counts."""
    budget = Budget(ledger.of_api, settings.api_limits, settings.api_minute) if ledger else None
    scim = ApiKey(make_reader(settings.scim_token)) if settings.scim_token else None
    return Caller(
        ring=choose_ring(settings, ledger),
        scim=scim,
        routes=settings.api_routes or load_default_routes(),
        budget=budget,
    )


def choose_ring(settings: Settings, ledger: Ledger | None) -> Ring:
    if settings.api_user and settings.api_password and ledger:
        return Login(
            settings.api_user,
            make_reader(settings.api_password),
            ledger.of_api,
            settings.seal.of_all_queues,
            settings.api_routes or load_default_routes(),
        )
    return ApiKey(make_reader(settings.api_key))


def make_reader(secret: Secret | None) -> Callable[[], str]:
    """Reads a secret's newest value anew each time; "" where there is none."""
    return (lambda: secret.values[0]) if secret else str
