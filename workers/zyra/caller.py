"""Makes a call to the API: with whose key, within which budget, and, for a run, at most once.

A call is written as a generator of effects, for both clients; `transport.py` performs them, blocking or not.
"""

import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from typing import Any, TypeVar

from receiver.contract.keys import read_event_id

from ..errors import RetryLater
from ..retry_after import parse_retry_after
from . import calls
from .budget import Budget, draw_ticket
from .calls import Answer, Call
from .credentials import Ring
from .effects import Do, Send, Step, Wait
from .errors import OutcomeUnknown, RateLimited, ServerError, Unauthorized, Unreachable, Unreadable, ZyraError
from .journal import Entry, Journal, State
from .models import Row
from .recovery import Recovery
from .routes import LookUp, Routes, load_default_routes

log = logging.getLogger(__name__)
MAX_WAIT_MINUTES = 1 / 12  # for room in the budget; what takes longer becomes RetryLater, and frees its place
LIST_SECONDS = 2.0  # until what was made stands in its list
MAX_JOURNAL_LOOKS = 3  # for one call
UNSENT_CODES = ("budget", "refused-before")  # errors that were logged once, for all calls that they stop
T = TypeVar("T")
Result = Generator[Step, Any, T]
Path = str | PathLike[str] | None


def skip_guard() -> None:
    """No lease to check: not inside a handler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """guard: called before each step that counts; raises LeaseLost where another attempt may own the run."""

    ring: Ring
    scim: Ring | None = None
    routes: Routes = field(default_factory=load_default_routes)
    budget: Budget | None = None
    journal: Journal | None = None
    who: str = "cli"
    ticket: str = field(default_factory=draw_ticket)  # by which the budget knows who comes back, where there is no run
    guard: Callable[[], None] = skip_guard

    def fetch(self, call: Call) -> Result[Any]:
        """What the API's answer holds. Raises ZyraError, and LeaseLost."""
        return self._log_errors(call, calls.read_data)

    def fetch_answer(self, call: Call) -> Result[Answer]:
        """The answer of a call that succeeded, whatever it holds. Raises ZyraError, and LeaseLost."""
        return self._log_errors(call, calls.read_answer)

    def fetch_row(self, call: Call) -> Result[Row]:
        """The object that the API's answer holds. Raises ZyraError, and LeaseLost."""
        return self._log_errors(call, calls.read_row)

    def fetch_page(self, call: Call) -> Result[calls.Page]:
        """One page of a list. Raises ZyraError, and LeaseLost."""
        return self._log_errors(call, calls.read_page)

    def save(self, call: Call, into: str | PathLike[str]) -> Result[int]:
        """Saves the answer as a file; its size in bytes. Raises ZyraError, and LeaseLost."""
        return self._log_errors(call, calls.read_size, into)

    def _log_errors(self, call: Call, read: Callable[[Call, Answer], T], into: Path = None) -> Result[T]:
        """Logs each request with its request id, and what to do about an error."""
        try:
            return read(call, (yield from self._log_requests(self.perform(call, into))))
        except ZyraError as error:
            if self.journal is None and call.route.changes and may_have_happened(error):
                error.advice = f"it may have happened all the same: look before you repeat it, {advise_look(call)}"
            is_known = isinstance(error, RateLimited | Unauthorized) and error.code in UNSENT_CODES
            log.log(logging.DEBUG if is_known else logging.WARNING, "%s: %s", error, error.advice)
            raise

    def _log_requests(self, flow: Result[T]) -> Result[T]:
        """The flow, with a line for each request, as Zyra asks for: "always log the request ID".

        https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
        """
        value, failure = None, None
        while True:
            try:
                step = flow.throw(failure) if failure else flow.send(value)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            value, failure, started = None, None, time.monotonic()
            try:
                value = yield step
            except GeneratorExit:
                flow.close()
                raise
            except BaseException as error:
                failure = error
            if isinstance(step, Send):
                self._log_request(step.call, value, failure, time.monotonic() - started)

    def _log_request(self, call: Call, answer: Answer | None, failure: BaseException | None, seconds: float) -> None:
        facts = {"method": call.route.method, "path": call.route.path, "ms": round(seconds * 1000)}
        if answer is not None:
            facts |= {"status": answer.status, "request_id": answer.request_id}
        else:
            facts |= {"status": 0, "error": str(failure)}
        if self.journal:
            facts |= {"event": read_event_id(self.journal.run), "handler": self.who, "attempt": self.journal.attempt}
        log.info("API call", extra=facts)

    def perform(self, call: Call, into: Path = None) -> Result[Answer]:
        """The answer, whatever its status. Raises ZyraError where there is none, and LeaseLost."""
        if self.journal is None or not call.route.changes:
            return (yield from self.spend(Send(call, {}, into)))
        for left in reversed(range(MAX_JOURNAL_LOOKS)):
            answer = yield from self._perform_once(call, self.journal, last=left == 0)
            if answer is not None:
                return answer
        raise RetryLater(5, f"{call}: another attempt of the run changed its journal meanwhile")

    def _perform_once(self, call: Call, journal: Journal, last: bool) -> Result[Answer | None]:
        """A changing call of a run: made at most once, over all attempts. None: look at the journal again.

        Between the entry and the answer there is nothing but the request, so what fails before it has not happened.
        """
        entry: Entry | None = yield Do(lambda: journal.find(call) or journal.find_lost(call))
        if entry and entry.state is State.DONE:
            return (yield from self._find_said(call, entry, journal)) if entry.by_person else entry.answer
        if entry:
            try:
                outcome = yield from self._make_recovery(journal).look_up(call, entry)
                has_happened = yield Do(
                    lambda: (
                        journal.record_answer(entry, outcome, looked_up=True)
                        if outcome
                        else journal.record_refusal(entry)
                    )
                )
            except BaseException:
                journal.forget_cache(entry)
                raise
            if outcome or not has_happened:
                return outcome if has_happened else None
        ring = self._choose_ring(call)
        yield from self._wait_for_room(call, ring)
        request = yield from self._sign(Send(call, {}), ring)
        self.guard()
        sent_entry: Entry = yield Do(lambda: journal.begin(call))
        try:
            answer: Answer = yield request
            is_refusal = not calls.says_success(answer)
            is_whole = not answer.content or answer.document is not None
            if answer.is_success and not is_refusal and is_whole and lacks_id(call, answer):
                answer = yield from self._find_created(call, sent_entry, journal, answer)
            elif answer.is_success and not is_refusal and is_whole:
                yield Do(lambda: journal.record_answer(sent_entry, answer))
            elif is_refusal or (300 <= answer.status < 500 and answer.status != 408):
                yield Do(lambda: journal.record_refusal(sent_entry, answer))
            else:
                journal.forget_cache(sent_entry)
        except BaseException as error:  # also where the handler was cancelled: then nothing may be awaited any more
            journal.forget_cache(sent_entry)
            if isinstance(error, Unreachable) and error.unsent:
                yield Do(lambda: journal.record_refusal(sent_entry))
            raise
        is_renewed = yield from self._judge(answer, request, ring, last)
        return None if is_renewed else answer

    def _make_recovery(self, journal: Journal) -> Recovery:
        return Recovery(self.spend, journal, self.routes, self.budget, self.guard)

    def _find_created(self, call: Call, entry: Entry, journal: Journal, answer: Answer) -> Result[Answer]:
        """Looks up by its name what a create has made, because its answer has no id. Raises OutcomeUnknown."""
        recovery = self._make_recovery(journal)
        reason = f"Zyra answered {answer.status} without an id"
        found = yield from recovery.find_by_name(call, reason)
        if found is None:  # lists may come a moment later
            yield Wait(LIST_SECONDS)
            found = yield from recovery.find_by_name(call, reason)
        if found is None:
            raise OutcomeUnknown(0, "", f"{reason}, and lists nothing of this name", call=str(call))
        if not (yield Do(lambda: journal.record_answer(entry, found, looked_up=True))):
            raise RetryLater(5, f"{call}: another attempt of the run changed its journal meanwhile")
        return found

    def _find_said(self, call: Call, entry: Entry, journal: Journal) -> Result[Answer]:
        """The answer of a call of which a person said that it happened. For a create: the only thing of its name."""
        if not lacks_id(call, entry.answer):
            return entry.answer
        found = yield from self._make_recovery(journal).find_only(call)
        if found is None:
            reason = "a person said that it happened, but its list does not hold exactly one thing of its name"
            raise OutcomeUnknown(0, "", reason, call=str(call))
        yield Do(lambda: journal.record_answer(entry, found, looked_up=True))
        return found

    def spend(self, request: Send) -> Result[Answer]:
        """A call that changes nothing, or one that is nobody's run."""
        for last in (False, True):
            ring = self._choose_ring(request.call)
            yield from self._wait_for_room(request.call, ring)
            ready = yield from self._sign(request, ring)
            answer: Answer = yield ready
            if not (yield from self._judge(answer, ready, ring, last)):
                break
        return answer

    def _choose_ring(self, call: Call) -> Ring:
        """Whose key goes along: as it is now, so that all of one call speaks of the same one."""
        if not call.route.is_scim:
            return self.ring.freeze()
        if self.scim is None:
            raise Unauthorized(0, "no-token", "SCIM wants a token of its own: set ZYRA_SCIM_TOKEN", call=str(call))
        return self.scim.freeze()

    def _wait_for_room(self, call: Call, ring: Ring) -> Result[None]:
        """Waits a little for room in the budget. Raises RateLimited, and Unauthorized while the key is no good."""
        self.guard()
        if self.budget is None:
            return
        budget, limit, waited = self.budget, call.route.limit, 0.0
        mine = self.journal.run if self.journal else self.ticket
        while (room := (yield Do(lambda: budget.take(ring.name, limit, self.who, mine)))).seconds:
            waited += room.seconds
            if room.refused:
                raise delay(
                    ring.refusal(401, "refused-before", f"{ring.noun} {ring.shown} was refused a moment ago"),
                    room.seconds,
                    call,
                )
            if waited > MAX_WAIT_MINUTES * budget.minute:
                why = f"the budget of {room.limit} {limit} calls a minute is spent"
                raise delay(RateLimited(0, "budget", why), room.seconds, call)
            yield Wait(room.seconds)
            self.guard()

    def _sign(self, request: Send, ring: Ring) -> Result[Send]:
        """The request, ready to go: with its key, and its body as bytes. Raises ZyraError where there is no key."""
        try:
            token = yield from ring.token()
        except Unauthorized:
            yield Do(lambda: self._report_refusal(ring))
            raise
        except RateLimited as error:
            if self.budget:
                yield Do(partial(self.budget.hold, ring.name, request.call.route.limit, error.seconds))
            raise
        if not token:
            raise Unauthorized(0, "no-key", "ZYRA_API_KEY is not set", call=str(request.call))
        content = calls.encode(request.call.body) if request.call.body is not None else None
        return replace(request, headers={"authorization": f"Bearer {token}"}, content=content)

    def _judge(self, answer: Answer, request: Send, ring: Ring, last: bool) -> Result[bool]:
        """Tells all who share the key what an answer means. Whether there is a new token, worth another try."""
        token = request.headers["authorization"].partition(" ")[2]
        if answer.status == 401 and not last and (yield Do(lambda: ring.forget(token))):
            return True
        if answer.status == 401:
            yield Do(lambda: self._report_refusal(ring))
        elif answer.status == 429:
            yield Do(lambda: self._hold(answer, request.call, ring))
        elif answer.status < 500 and answer.status != 408 and self.budget and (yield Do(lambda: self._accept(ring))):
            log.info("%s %s is accepted again", ring.noun, ring.shown)
        return False

    def _report_refusal(self, ring: Ring) -> None:
        """One alert, however many find out."""
        if self.budget is None or self.budget.refuse(ring.name, ring.shown):
            log.error("Zyra refuses %s %s: %s", ring.noun, ring.shown, ring.refusal.advice)

    def _accept(self, ring: Ring) -> bool:
        """Whether the key was known to be no good; looked at in memory, but for the first time."""
        return bool(self.budget and self.budget.is_refused(ring.name) and self.budget.accept(ring.name, ring.shown))

    def _hold(self, answer: Answer, call: Call, ring: Ring) -> None:
        limit, seconds = call.route.limit, parse_retry_after(answer.headers.get("retry-after", ""))
        then = f", then at most {self.budget.lower(ring.name, limit, seconds)} a minute" if self.budget else ""
        log.warning("%s: Zyra's limit is reached: no %s calls for %g s%s", call, limit, seconds, then)


def lacks_id(call: Call, answer: Answer) -> bool:
    """Whether a create's answer does not tell what it has made."""
    if call.route.look_up is not LookUp.NAMED:
        return False
    return not calls.read_row_id(calls.find_row(call.route, calls.to_mapping(calls.read_data(call, answer))))


def may_have_happened(error: ZyraError) -> bool:
    """Whether a call that ended with this error may have taken effect."""
    return isinstance(error, ServerError | Unreadable) or (isinstance(error, Unreachable) and not error.unsent)


def advise_look(call: Call) -> str:
    """How a person finds out what has become of a call."""
    if call.route.name == "request":  # one that is in no table
        return f"`zyra-receiver api get {call.path}`"
    area = call.route.area.replace("_", "-")
    return f"`zyra-receiver api {area} " + (f"get {call.ids[0]}`" if call.ids else "list`")


def delay(error: Any, seconds: float, call: Call) -> Any:
    error.seconds, error.call = seconds, str(call)
    return error
