"""What has become of a call whose answer got lost: by the state of the thing, by its absence, or by its name."""

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from . import calls
from .budget import Budget
from .calls import Answer, Call
from .effects import Send, Step, Wait
from .errors import OutcomeUnknown, Unreadable
from .journal import Entry, Journal
from .routes import Routes

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
        what, _, states = call.route.look_up.partition(":")
        if what == "safe":
            return None
        if self.budget and what:
            most = SETTLE_MINUTES * self.budget.minute  # no more, whatever the other machine's clock said
            left = min(most, entry.at / 1000 + most - time.time())
            while left > 0:
                yield Wait(min(left, 1.0))
                left -= 1.0
                self.guard()
        if what in ("status", "gone"):
            return (yield from self._look_up_state(call, what, {state.strip() for state in states.split(",")}))
        name = calls.to_mapping(call.body).get("name")
        if what == "named" and isinstance(name, str) and self.journal.key in name:
            return (yield from self._look_up_name(call, name, self.journal.list_made_ids()))
        reason = "an earlier attempt made this call and heard no answer"
        if what == "named":
            reason += "; a name that holds event.key would let us find out whether it happened"
        raise OutcomeUnknown(0, "", reason, call=str(call))

    def _look_up_state(self, call: Call, what: str, states: set[str]) -> Found:
        get = calls.make_listed_call(self.routes[f"{call.route.area}.get"], call.ids[:1])
        answer = yield from self.spend(Send(get, {}))
        if answer.status == 404:
            if not isinstance(calls.parse(answer), dict):  # not the API's own word, but some proxy's
                raise Unreadable(404, "unreadable", "the answer is no JSON", call=str(get))
            return Answer(status=200, headers={}, content=b"") if what == "gone" else None
        status = calls.to_mapping(calls.read_data(get, answer)).get("status")
        if not isinstance(status, str):
            raise OutcomeUnknown(
                0, "", f"{get} tells no status, so nobody can know whether it happened", call=str(call)
            )
        return answer if status in states else None

    def _look_up_name(self, call: Call, name: str, others: set[str]) -> Found:
        """others: ids of what other calls of the run have made. A list of several pages is read twice, since what is
        deleted meanwhile moves the rest.
        """
        for _ in range(2):
            pages = calls.Pages(calls.make_listed_call(self.routes[f"{call.route.area}.list"]))
            while pages.next:
                if pages.count >= MAX_PAGES:
                    raise OutcomeUnknown(0, "", f"the list is too long to look for {name!r}", call=str(call))
                answer = yield from self.spend(Send(pages.next, {}))
                for item in pages.take(calls.read_page(pages.next, answer)):
                    if item.get("name") == name and item.get("id") not in others:
                        content = json.dumps({"data": item}, default=str).encode()
                        return Answer(status=200, headers={}, content=content)
            if pages.count == 1 and pages.total < calls.MAX_PAGE_ITEMS:
                break
        return None
