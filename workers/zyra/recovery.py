"""What has become of a call whose answer got lost: by the state of the thing, by its absence, or by its name."""

import json
import time
from collections.abc import Generator
from typing import Any

from . import calls
from .caller import Terms, spend
from .calls import Answer, Call
from .effects import Send, Step, Wait
from .errors import OutcomeUnknown, Unreadable
from .journal import Entry, Journal

SETTLES = 0.25  # minutes until a call whose answer got lost has happened, if it happens at all
PAGES = 50  # of a list that are looked through for a name


def look_up(call: Call, entry: Entry, terms: Terms, journal: Journal) -> Generator[Step, Any, Answer | None]:
    """What a call whose answer got lost has led to, or None if it has not happened. Raises OutcomeUnknown.

    Waits until a request in flight can no longer take effect.
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
