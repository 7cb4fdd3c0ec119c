"""What has become of a call whose answer got lost: by the state of the thing, by its absence, or by its name."""

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from . import calls
from .budget import Budget
from .calls import Answer, Call
from .effects import Send, Step, Wait
from .errors import OutcomeUnknown, Unreadable
from .journal import Entry, Journal
from .models import normalize_state, read_state
from .routes import LookUp, Routes

SETTLE_MINUTES = 0.25  # until a call whose answer got lost has happened, if it happens at all
MAX_PAGES = 50  # of a list that are searched for a name
Found = Generator[Step, Any, Answer | None]


@dataclass(frozen=True, slots=True)
class Recovery:
    """spend: makes a call that changes nothing. guard: raises LeaseLost where another attempt may own the run."""

    spend: Callable[[Send], Generator[Step, Any, Answer]]
    journal: Journal
    routes: Routes
    budget: Budget | None
    guard: Callable[[], None]

    def look_up(self, call: Call, entry: Entry) -> Found:
        """What a call whose answer got lost has led to, or None if it has not happened. Raises OutcomeUnknown.

        Waits until a request in flight can no longer take effect.
        """
        what = call.route.look_up
        if what is LookUp.SAFE:
            return None
        if self.budget and what:
            most = SETTLE_MINUTES * self.budget.minute  # no more, whatever the other machine's clock said
            left = min(most, entry.at / 1000 + most - time.time())
            while left > 0:
                yield Wait(min(left, 1.0))
                left -= 1.0
                self.guard()
        if what in (LookUp.STATUS, LookUp.GONE):
            return (yield from self._look_up_state(call))
        return (yield from self.find_by_name(call, "an earlier attempt made this call and heard no answer"))

    def find_by_name(self, call: Call, reason: str) -> Found:
        """What a create has made, or None if nothing in the list bears its name. Raises OutcomeUnknown.

        reason: why it has to be looked up.
        """
        name = calls.to_mapping(call.body).get("name")
        if call.route.look_up is LookUp.NAMED and isinstance(name, str) and self.journal.key in name:
            return (yield from self._look_up_name(call, name, self.journal.list_made_ids(call)))
        if call.route.look_up is LookUp.NAMED:
            reason += "; a name that holds event.key would let us find out what it has made"
        raise OutcomeUnknown(0, "", reason, call=str(call))

    def _look_up_state(self, call: Call) -> Found:
        route = call.route
        get = calls.make_listed_call(self.routes[f"{call.route.area}.get"], call.ids[:1])
        answer = yield from self.spend(Send(get, {}))
        if answer.status == 404:
            if not isinstance(answer.document, dict):  # not the API's own word, but some proxy's
                raise Unreadable(404, "unreadable", "the answer is no JSON", call=str(get))
            return Answer(status=200, headers=answer.headers, content=b"") if route.look_up is LookUp.GONE else None
        row = calls.find_row(get.route, calls.to_mapping(calls.read_data(get, answer)))
        state, ends = read_state(row), route.look_up is LookUp.GONE
        if state in map(normalize_state, route.after):
            return answer
        is_before = state in map(normalize_state, route.before) if state else ends and is_marked_active(row)
        if is_before and not (ends and is_marked_gone(row)):
            return None
        reason = f"state {state!r} is not known to come before or after the call; ZYRA_API_ROUTES may name it"
        raise OutcomeUnknown(0, "", f"{get}: {reason}", call=str(call))

    def find_only(self, call: Call) -> Found:
        """What a create has surely made: the only thing of its name, or None if there is not exactly one."""
        name = calls.to_mapping(call.body).get("name")
        if call.route.look_up is not LookUp.NAMED or not isinstance(name, str):
            return None
        found = yield from self._list_named(call, name, self.journal.list_made_ids(call))
        return found[0] if len(found) == 1 else None

    def _look_up_name(self, call: Call, name: str, others: set[str]) -> Found:
        found = yield from self._list_named(call, name, others, most=1)
        return found[0] if found else None

    def _list_named(self, call: Call, name: str, others: set[str], most: int = 2) -> Generator[Step, Any, list[Answer]]:
        """Up to `most` things of this name. others: ids of what other calls of the run have made.

        A list of several pages is read twice, since what is deleted meanwhile moves the rest.
        """
        found: dict[str, Answer] = {}
        for _ in range(2):
            pages = calls.Pages(calls.make_listed_call(self.routes[f"{call.route.area}.list"]))
            while pages.next:
                if pages.count >= MAX_PAGES:
                    raise OutcomeUnknown(0, "", f"the list is too long to look for {name!r}", call=str(call))
                answer = yield from self.spend(Send(pages.next, {}))
                for item in pages.take(calls.read_page(pages.next, answer)):
                    if item.get("name") == name and str(item.get("id")) not in others:
                        content = json.dumps({"data": item}, default=str).encode()
                        found[str(item.get("id"))] = Answer(status=200, headers={}, content=content)
                        if len(found) >= most:
                            return list(found.values())
            if pages.count == 1 and pages.total < calls.MAX_PAGE_ITEMS:
                break
        return list(found.values())


def is_marked_active(row: Mapping[str, Any]) -> bool:
    """Whether a thing without a state says that it is in use: a webhook endpoint, a user of SCIM."""
    return any(row.get(name) is True for name in ("is_active", "active", "enabled"))


def is_marked_gone(row: Mapping[str, Any]) -> bool:
    """Whether fields besides the state say that the thing is not in use any more: a deletion may leave its record."""
    ended = any(row.get(name) for name in ("deleted_at", "removed_at", "terminated_at", "is_deleted", "deleted"))
    return ended or any(row.get(name) is False for name in ("is_active", "active"))
