"""One request within the limits that all share: whose key, room in the budget, what its answer means for the others."""

import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from . import calls
from .budget import Budget, ticket
from .calls import Answer, Call
from .credentials import Ring
from .effects import Do, Send, Step, Wait
from .errors import RateLimited, Unauthorized
from .journal import Journal
from .routes import Routes, table

log = logging.getLogger(__name__)
PATIENCE = 1 / 12  # minutes that are waited for room; what takes longer becomes RetryLater, and frees its place
Flow = Generator[Step, Any, Answer]


def unguarded() -> None:
    """No lease to check: not inside a handler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms calls are made: with whose key, within which budget, for which run, by which table.

    guard: called before each step that counts; raises LeaseLost where another attempt may own the run.
    """

    ring: Ring
    scim: Ring | None = None
    routes: Routes = field(default_factory=table)
    budget: Budget | None = None
    journal: Journal | None = None
    who: str = "cli"
    ticket: str = field(default_factory=ticket)  # by which the budget knows who comes back, where there is no run
    guard: Callable[[], None] = unguarded

    def key(self, call: Call) -> Ring:
        """Whose key goes along: as it is now, so that all of one call speaks of the same one."""
        if not call.route.is_scim:
            return self.ring.now()
        if self.scim is None:
            raise Unauthorized(0, "no-token", "SCIM wants a token of its own: set ZYRA_SCIM_TOKEN", call=str(call))
        return self.scim.now()


def spend(request: Send, terms: Terms) -> Flow:
    """A call that changes nothing, or one that is nobody's run."""
    for last in (False, True):
        ring = terms.key(request.call)
        yield from room(request.call, terms, ring)
        ready = yield from signed(request, terms, ring)
        answer: Answer = yield ready
        renewed = yield from judged(answer, ready, terms, ring, last)
        if not renewed:
            break
    return answer


def room(call: Call, terms: Terms, ring: Ring) -> Generator[Step, Any, None]:
    """Waits a little for room in the budget. Raises RateLimited, and Unauthorized while the key is no good."""
    terms.guard()
    if terms.budget is None:
        return
    budget, limit, waited = terms.budget, call.route.limit, 0.0
    mine = terms.journal.run if terms.journal else terms.ticket
    while (found := (yield Do(lambda: budget.take(ring.name, limit, terms.who, mine)))).seconds:
        waited += found.seconds
        if found.refused:
            raise later(Unauthorized(401, "refused-before", "the key was refused a moment ago"), found.seconds, call)
        if waited > PATIENCE * budget.minute:
            why = f"the budget of {budget.limits.of(limit)} {limit} calls a minute is spent"
            raise later(RateLimited(0, "budget", why), found.seconds, call)
        yield Wait(found.seconds)
        terms.guard()


def later(error: Any, seconds: float, call: Call) -> Any:
    error.seconds, error.call = seconds, str(call)
    return error


def signed(request: Send, terms: Terms, ring: Ring) -> Generator[Step, Any, Send]:
    """The request, ready to go: with its key, and its body as bytes. Raises ZyraError where there is no key."""
    try:
        token = yield from ring.token()
    except Unauthorized:
        yield Do(lambda: refused(ring, terms))
        raise
    except RateLimited as error:
        if terms.budget:
            yield Do(partial(terms.budget.hold, ring.name, request.call.route.limit, error.seconds))
        raise
    if not token:
        raise Unauthorized(0, "no-key", "ZYRA_API_KEY is not set", call=str(request.call))
    content = calls.encoded(request.call.body) if request.call.body is not None else None
    return replace(request, headers={"authorization": f"Bearer {token}"}, content=content)


def judged(answer: Answer, request: Send, terms: Terms, ring: Ring, last: bool) -> Generator[Step, Any, bool]:
    """What an answer means for all who share the key. Whether there is a new token, so that it is worth another try."""
    token = request.headers["authorization"].partition(" ")[2]
    if answer.status == 401 and not last and (yield Do(lambda: ring.forget(token))):
        return True
    if answer.status == 401:
        yield Do(lambda: refused(ring, terms))
    elif answer.status == 429:
        yield Do(lambda: hold(answer, request.call, ring, terms))
    elif answer.status < 500 and answer.status != 408 and terms.budget and (yield Do(lambda: accepted(ring, terms))):
        log.info("the API key %s is accepted again", ring.shown)
    return False


def refused(ring: Ring, terms: Terms) -> None:
    """One alert, however many find out."""
    if terms.budget is None or terms.budget.refuse(ring.name, ring.shown):
        log.error("Zyra refuses the API key %s: %s", ring.shown, Unauthorized.advice)


def accepted(ring: Ring, terms: Terms) -> bool:
    """Whether the key was known to be no good; looked at in memory, but for the first time."""
    return bool(terms.budget and terms.budget.refused(ring.name) and terms.budget.accept(ring.name, ring.shown))


def hold(answer: Answer, call: Call, ring: Ring, terms: Terms) -> None:
    limit, seconds = call.route.limit, calls.retry_after(answer.headers.get("retry-after", ""))
    log.warning("%s: Zyra's limit is reached: no %s calls for %g s", call, limit, seconds)
    if terms.budget:
        terms.budget.hold(ring.name, limit, seconds)
