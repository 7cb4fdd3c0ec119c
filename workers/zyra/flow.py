"""The way of a call, as steps: what an earlier attempt recorded, then room in the budget, then the request itself.

Written once; `client.py` takes the steps, blocking or not.
"""

import json
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from typing import Any

from . import calls
from .budget import Budget, ticket
from .calls import Answer, Call
from .errors import OutcomeUnknown, RateLimited, Unauthorized, Unreachable, Unreadable
from .journal import Entry, Journal, State
from .keyring import Ring
from .routes import Routes, table
from .steps import Do, Send, Step, Wait

log = logging.getLogger(__name__)
PATIENCE = 1 / 12  # minutes that are waited for room; what takes longer becomes RetryLater, and frees its place
SETTLES = 0.25  # minutes until a call whose answer got lost has happened, if it happens at all
ROUNDS = 3  # times that the journal is looked at for one call
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
    ticket: str = field(default_factory=ticket)  # by which the budget knows who comes back, where there is no run
    guard: Callable[[], None] = unguarded

    def key(self, call: Call) -> Ring:
        """Whose key goes along: as it is now, so that all of one call speaks of the same one."""
        if not call.route.is_scim:
            return self.ring.now()
        if self.scim is None:
            raise Unauthorized(0, "no-token", "SCIM wants a token of its own: set ZYRA_SCIM_TOKEN", call=str(call))
        return self.scim.now()


def perform(call: Call, terms: Terms, into: str | PathLike[str] | None = None) -> Flow:
    """The answer, whatever its status. Raises ZyraError where there is none, and LeaseLost."""
    if terms.journal is None or not call.route.changes:
        return (yield from spend(Send(call, {}, into), terms))
    for _ in range(ROUNDS):
        answer = yield from recorded(call, terms, terms.journal)
        if answer is not None:
            return answer
    raise OutcomeUnknown(0, "", "another attempt of the run changed its journal meanwhile", call=str(call))


def recorded(call: Call, terms: Terms, journal: Journal) -> Generator[Step, Any, Answer | None]:
    """A changing call of a run: made at most once, whatever becomes of the attempts. None: look at the journal again.

    Between the entry and the answer there is nothing but the request, so what fails before it has not happened.
    """
    entry: Entry | None = yield Do(lambda: journal.find(call))
    if entry and entry.state is State.DONE:
        return entry.answer
    if entry:
        try:
            found = yield from look_up(call, entry, terms, journal)
            told = yield Do(lambda: journal.done(entry, found, looked_up=True) if found else journal.refused(entry))
        except BaseException:
            journal.unknown(entry)
            raise
        if found or not told:
            return found if told else None
    ring = terms.key(call)
    yield from room(call, terms, ring)
    request = yield from signed(Send(call, {}), terms, ring)
    terms.guard()
    made: Entry = yield Do(lambda: journal.begin(call))
    try:
        answer: Answer = yield request
        document = calls.parse(answer)
        refusal = isinstance(document, dict) and document.get("success") is False
        if answer.is_success and not refusal and (not answer.content or document is not None):
            yield Do(lambda: journal.done(made, answer))
        elif refusal or (400 <= answer.status < 500 and answer.status != 408):
            yield Do(lambda: journal.refused(made, answer))
        else:
            journal.unknown(made)
    except BaseException as error:  # also where the handler was cancelled: then nothing may be awaited any more
        journal.unknown(made)
        if isinstance(error, Unreachable) and error.unsent:
            yield Do(lambda: journal.refused(made))
        raise
    renewed = yield from judged(answer, request, terms, ring)
    return None if renewed else answer


def look_up(call: Call, entry: Entry, terms: Terms, journal: Journal) -> Generator[Step, Any, Answer | None]:
    """What a call whose answer got lost has led to, or None if it has not happened. Raises OutcomeUnknown.

    It is waited until it can happen no more.
    """
    what, _, states = call.route.look_up.partition(":")
    if what == "safe":
        return None
    if terms.budget and what:
        most = SETTLES * terms.budget.minute  # no more, whatever the other machine's clock said
        left = min(most, entry.at / 1000 + most - time.time())
        while left > 0:
            yield Wait(min(left, 1.0))
            left -= 1.0
            terms.guard()
    if what in ("status", "gone"):
        return (yield from by_state(call, what, {state.strip() for state in states.split(",")}, terms))
    name = calls.mapping(call.body).get("name")
    if what == "named" and isinstance(name, str) and journal.key in name:
        return (yield from by_name(call, name, terms, journal.told_ids()))
    said = "an earlier attempt made this call and heard no answer"
    if what == "named":
        said += "; a name that holds event.key would let us find out whether it happened"
    raise OutcomeUnknown(0, "", said, call=str(call))


def by_state(call: Call, what: str, states: set[str], terms: Terms) -> Generator[Step, Any, Answer | None]:
    get = calls.call(terms.routes[f"{call.route.area}.get"], call.ids[:1])
    answer = yield from spend(Send(get, {}), terms)
    if answer.status == 404:
        if not isinstance(calls.parse(answer), dict):  # not the API's own word, but some proxy's
            raise Unreadable(404, "unreadable", "the answer is no JSON", call=str(get))
        return Answer(status=200, headers={}, content=b"") if what == "gone" else None
    status = calls.mapping(calls.read(get, answer)).get("status")
    if not isinstance(status, str):
        raise OutcomeUnknown(0, "", f"{get} tells no status, so nobody can know whether it happened", call=str(call))
    return answer if status in states else None


def by_name(call: Call, name: str, terms: Terms, others: set[str]) -> Generator[Step, Any, Answer | None]:
    """others: ids of what other calls of the run have made. A list of several pages is read twice, since what is
    deleted meanwhile moves the rest.
    """
    for _ in range(2):
        following: Call | None = calls.first(calls.call(terms.routes[f"{call.route.area}.list"]))
        before, pages = None, 0
        while following is not None:
            if pages >= PAGES:
                raise OutcomeUnknown(0, "", f"the list is too long to look for {name!r}", call=str(call))
            answer = yield from spend(Send(following, {}), terms)
            before, pages = calls.unlike(following, calls.page(following, answer), before), pages + 1
            for item in before.items:
                if item.get("name") == name and item.get("id") not in others:
                    content = json.dumps({"data": item}, default=str).encode()
                    return Answer(status=200, headers={}, content=content)
            following = calls.after(following, before)
        if before is None or (pages == 1 and len(before.items) < calls.PAGE):
            break
    return None


def spend(request: Send, terms: Terms) -> Flow:
    """A call that changes nothing, or one that is nobody's run."""
    for last in (False, True):
        ring = terms.key(request.call)
        yield from room(request.call, terms, ring)
        ready = yield from signed(request, terms, ring)
        answer: Answer = yield ready
        renewed = yield from judged(answer, ready, terms, ring)
        if not renewed or last:
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


def judged(answer: Answer, request: Send, terms: Terms, ring: Ring) -> Generator[Step, Any, bool]:
    """What an answer means for all who share the key. Whether there is a new token, so that it is worth another try."""
    token = request.headers["authorization"].partition(" ")[2]
    if answer.status == 401 and (yield Do(lambda: ring.forget(token))):
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
