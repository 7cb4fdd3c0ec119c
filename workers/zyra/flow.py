"""The way of a call, as steps: what an earlier attempt recorded, then room in the budget, then the request itself.

Written once; `client.py` takes the steps, blocking or not.
"""

import json
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Any

from . import calls
from .budget import Budget, ticket
from .calls import Answer, Call
from .errors import OutcomeUnknown, RateLimited, Unauthorized, Unreachable
from .journal import Entry, Journal, State
from .keyring import Ring
from .routes import Limit, Routes, table
from .steps import Do, Send, Step, Wait

log = logging.getLogger(__name__)
PATIENCE = 1 / 12  # minutes that are waited for room; what takes longer becomes RetryLater, and frees its place
SETTLES = 0.25  # minutes until a call whose answer got lost has happened, if it happens at all
PAGES = 50  # of a list that are looked through for a name
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
    guard: Callable[[], None] = unguarded

    def key(self, call: Call) -> Ring:
        if not call.route.is_scim:
            return self.ring
        if self.scim is None:
            raise Unauthorized(0, "no-token", "SCIM wants a token of its own: set ZYRA_SCIM_TOKEN", call=str(call))
        return self.scim


def perform(call: Call, terms: Terms, into: str | PathLike[str] | None = None) -> Flow:
    """The answer, whatever its status. Raises ZyraError where there is none, and LeaseLost."""
    if terms.journal is None or not call.route.changes:
        return (yield from spend(Send(call, {}, into), terms))
    return (yield from recorded(call, terms, terms.journal))


def recorded(call: Call, terms: Terms, journal: Journal) -> Flow:
    """A changing call of a run: made at most once, whatever becomes of the attempts."""
    entry: Entry | None = yield Do(lambda: journal.find(call))
    if entry and entry.state is State.DONE:
        return entry.answer
    if entry and (found := (yield from look_up(call, entry, terms, journal))):
        yield Do(lambda: journal.done(entry, found, looked_up=True))
        return found
    if entry:
        yield Do(lambda: journal.refused(entry))
    yield from room(call, terms)
    made: Entry = yield Do(lambda: journal.begin(call))
    try:
        answer = yield from send(Send(call, {}), terms)
    except BaseException as error:
        if isinstance(error, Unreachable) and error.unsent:
            yield Do(lambda: journal.refused(made))
        else:
            journal.unknown(made)
        raise
    if answer.is_success and (not answer.content or calls.parse(answer) is not None):
        yield Do(lambda: journal.done(made, answer))
    elif 400 <= answer.status < 500 and answer.status != 408:
        yield Do(lambda: journal.refused(made, answer))
    else:
        journal.unknown(made)
    return answer


def look_up(call: Call, entry: Entry, terms: Terms, journal: Journal) -> Generator[Step, Any, Answer | None]:
    """What a call whose answer got lost has led to, or None if it has not happened. Raises OutcomeUnknown.

    It is waited until it can happen no more.
    """
    what, _, states = call.route.look_up.partition(":")
    if what == "safe":
        return None
    if terms.budget and what:
        settled = entry.at / 1000 + SETTLES * terms.budget.minute
        while (left := settled - time.time()) > 0:
            yield Wait(min(left, 1.0))
            terms.guard()
    if what in ("status", "gone"):
        return (yield from by_state(call, what, {state.strip() for state in states.split(",")}, terms))
    name = calls.mapping(call.body).get("name")
    if what == "named" and isinstance(name, str) and journal.key in name:
        return (yield from by_name(call, name, terms))
    said = "an earlier attempt made this call and heard no answer"
    if what == "named":
        said += "; a name that holds event.key would let us find out whether it happened"
    raise OutcomeUnknown(0, "", said, call=str(call))


def by_state(call: Call, what: str, states: set[str], terms: Terms) -> Generator[Step, Any, Answer | None]:
    get = calls.call(terms.routes[f"{call.route.area}.get"], call.ids[:1])
    answer = yield from spend(Send(get, {}), terms)
    if answer.status == 404:
        return Answer(status=200, headers={}, content=b"") if what == "gone" else None
    found = calls.mapping(calls.read(get, answer))
    return answer if found.get("status") in states else None


def by_name(call: Call, name: str, terms: Terms) -> Generator[Step, Any, Answer | None]:
    following: Call | None = calls.first(calls.call(terms.routes[f"{call.route.area}.list"]))
    before = None
    for _ in range(PAGES):
        if following is None:
            return None
        before = calls.unlike(following, calls.page(following, (yield from spend(Send(following, {}), terms))), before)
        for item in before.items:
            if item.get("name") == name:
                return Answer(status=200, headers={}, content=json.dumps({"data": item}, default=str).encode())
        following = calls.after(following, before)
    raise OutcomeUnknown(0, "", f"the list is too long to look for {name!r}", call=str(call))


def spend(request: Send, terms: Terms) -> Flow:
    yield from room(request.call, terms)
    return (yield from send(request, terms))


def room(call: Call, terms: Terms) -> Generator[Step, Any, None]:
    """Waits a little for room in the budget. Raises RateLimited, and Unauthorized while the key is no good."""
    terms.guard()
    if terms.budget is None:
        return
    budget, limit, waited = terms.budget, call.route.limit, 0.0
    mine = terms.journal.run if terms.journal else ticket()
    while (found := (yield Do(lambda: budget.take(terms.key(call).name, limit, terms.who, mine)))).seconds:
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


def send(request: Send, terms: Terms) -> Flow:
    """The request with its key, and what its answer means for all who share it."""
    ring, limit = terms.key(request.call), request.call.route.limit
    answer = yield from signed(request, terms, ring)
    if answer.status == 401 and (yield Do(ring.forget)):
        answer = yield from signed(request, terms, ring)  # with a new token
    if answer.status == 401:
        yield Do(lambda: refused(ring, terms))
    elif answer.status == 429:
        yield Do(lambda: hold(answer, request.call, limit, ring, terms))
    elif terms.budget and (yield Do(lambda: accepted(ring, terms))):
        log.info("the API key %s is accepted again", ring.shown)
    return answer


def signed(request: Send, terms: Terms, ring: Ring) -> Flow:
    token = yield from ring.token()
    if not token:
        raise Unauthorized(0, "no-key", "ZYRA_API_KEY is not set", call=str(request.call))
    terms.guard()
    answer: Answer = yield replace(request, headers={"authorization": f"Bearer {token}"})
    return answer


def refused(ring: Ring, terms: Terms) -> None:
    """One alert, however many find out."""
    if terms.budget is None or terms.budget.refuse(ring.name, ring.shown):
        log.error("Zyra refuses the API key %s: %s", ring.shown, Unauthorized.advice)


def accepted(ring: Ring, terms: Terms) -> bool:
    """Whether the key was known to be no good; looked at in memory, but for the first time."""
    return bool(terms.budget and terms.budget.refused(ring.name) and terms.budget.accept(ring.name, ring.shown))


def hold(answer: Answer, call: Call, limit: Limit, ring: Ring, terms: Terms) -> None:
    seconds = calls.retry_after(answer.headers.get("retry-after", ""))
    log.warning("%s: Zyra's limit is reached: no %s calls for %g s", call, limit, seconds)
    if terms.budget:
        terms.budget.hold(ring.name, limit, seconds)
