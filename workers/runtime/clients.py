"""Makes API clients for handlers, each for one attempt, with its journal, lease and share of the budget."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

from receiver.contract.secrets import Secret

from ..context import Context
from ..ledger.transitions import Ledger
from ..settings import Settings
from ..zyra.budget import Budget
from ..zyra.caller import Caller
from ..zyra.client import AsyncZyra, Zyra
from ..zyra.credentials import ApiKey, Login, Ring
from ..zyra.routes import load_default_routes


@dataclass(frozen=True)
class Clients:
    """Of one process; the async one belongs to the loop that first uses it."""

    settings: Settings
    ledger: Ledger

    def make_sync(self, context: Context) -> Zyra:
        return self._sync.within(make_own_caller(self._sync.caller, context))

    def make_async(self, context: Context) -> AsyncZyra:
        return self._async.within(make_own_caller(self._async.caller, context))

    @cached_property
    def _sync(self) -> Zyra:
        return Zyra(self.settings.api_url, caller=make_caller(self.settings, self.ledger))

    @cached_property
    def _async(self) -> AsyncZyra:
        return AsyncZyra(self.settings.api_url, caller=make_caller(self.settings, self.ledger))


def make_own_caller(caller: Caller, context: Context) -> Caller:
    """Of one attempt."""
    journal = context.open_journal() if context.open_journal else None
    return replace(caller, journal=journal, guard=context.lease.check, who=context.who)


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
