"""Makes a call to an API, as a generator of effects: `zyra/transport.py` performs them, blocking or not."""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from ..context import Context
from ..errors import RetryLater
from ..zyra import calls
from ..zyra.budget import MARGIN_SECONDS, Budget, draw_ticket
from ..zyra.calls import Answer, Call
from ..zyra.effects import Do, Send, Step, Wait
from ..zyra.errors import Unreachable, Unreadable
from ..zyra.journal import Entry, Journal, State
from ..zyra.routes import Limit
from .errors import ApiError, LimitReached, NotSent, Unanswered, find_hold_seconds, make_error
from .service import Service

log = logging.getLogger(__name__)
MAX_WAIT_SECONDS = 5.0  # for room in the budget; what takes longer is put off
MAX_JOURNAL_LOOKS = 3  # for one call
MARGIN_SHARE = 0.05  # of a limit's window, that it is taken for longer: some calls are longer on their way
T = TypeVar("T")
Result = Generator[Step, Any, T]


@dataclass(frozen=True, slots=True)
class Flow:
    """Of one call. context: of the attempt that makes it; None outside a handler."""

    service: Service
    call: Call
    context: Context | None

    def fetch(self, repeat: bool) -> Result[Answer]:
        """The answer of a call that succeeded. Raises ApiError and LeaseLost.

        repeat: whether the call may be made again if its answer got lost.
        """
        journal = self.context.open_journal() if self.context and self.context.open_journal else None
        if journal is None or not self.call.route.changes:
            answer = yield from self._send(journal)
        else:
            answer = yield from self._send_once(journal, repeat)
        if not answer.is_success:
            text = answer.content.decode("utf-8", "replace")
            raise make_error(str(self.call), answer.status, answer.headers, answer.document, text)
        return answer

    def _send_once(self, journal: Journal, repeat: bool) -> Result[Answer]:
        """A changing call of a run: its answer is recorded, and a later attempt gets it instead of calling again."""
        for _ in range(MAX_JOURNAL_LOOKS):
            entry: Entry | None = yield Do(lambda: journal.find(self.call) or journal.find_lost(self.call))
            if entry and entry.state is State.DONE:
                return entry.answer
            if entry and not repeat:
                why = "an earlier attempt made this call, and no answer says whether it happened: look, then"
                raise Unanswered(
                    str(self.call), 0, f"{why} `events replay ID --keep-calls --unanswered happened`, or `repeat`"
                )
            answer = yield from self._send_entry(journal, entry)
            if answer is not None:
                return answer
        raise RetryLater(5, f"{self.call}: another attempt of the run changed its journal meanwhile")

    def _send_entry(self, journal: Journal, entry: Entry | None) -> Result[Answer | None]:
        """Sends the call, and records what came of it. None: another attempt has changed the entry."""
        token, content = self._read_token(), self._encode()
        yield from self._wait_for_room(journal, token)
        sent: Entry = entry or (yield Do(lambda: journal.begin(self.call)))
        header = self.service.idempotency_header
        try:
            headers = {header: f"{journal.key}-{sent.number}"} if header else {}
            answer = yield from self._exchange(token, headers, content)
            if answer.is_success:
                if not (yield Do(lambda: journal.record_answer(sent, answer))):
                    return None
            elif find_hold_seconds(answer.status, answer.headers) is not None or is_refusal(answer):
                yield Do(lambda: journal.record_refusal(sent, answer))
            else:
                journal.forget_cache(sent)
        except BaseException as error:  # also where the handler was cancelled: then nothing may be awaited any more
            journal.forget_cache(sent)
            if isinstance(error, NotSent):
                yield Do(lambda: journal.record_refusal(sent))
            raise
        return answer

    def _send(self, journal: Journal | None) -> Result[Answer]:
        token, content = self._read_token(), self._encode()
        yield from self._wait_for_room(journal, token)
        return (yield from self._exchange(token, {}, content))

    def _encode(self) -> bytes | None:
        """Raises TypeError or ValueError for what has no JSON."""
        return calls.encode(self.call.body) if self.call.body is not None else None

    def _exchange(self, token: str, headers: dict[str, str], content: bytes | None) -> Result[Answer]:
        """One request. Tells all workers where the API asks for a pause."""
        service, started, status = self.service, time.monotonic(), 0
        own = {service.header: f"{service.prefix}{token}"} if token else {}
        try:
            answer: Answer = yield Send(self.call, {**service.headers, **own, **headers}, content=content)
            status = answer.status
        except Unreachable as error:
            raise (NotSent if error.unsent else ApiError)(str(self.call), 0, error.message) from None
        except Unreadable as error:
            raise ApiError(str(self.call), error.status, error.message) from None
        finally:
            facts = {"api": service.name, "method": self.call.route.method, "path": self.call.path}
            log.info("API call", extra={**facts, "status": status, "ms": round((time.monotonic() - started) * 1000)})
        hold = find_hold_seconds(answer.status, answer.headers)
        budget = self._open_budget()
        if hold is not None and budget:
            yield Do(lambda: budget.hold(service.name_budget(token), Limit.READ, hold))
            log.warning("%s: the limit of %s is reached: no calls for %g s", self.call, service.name, hold)
        return answer

    def _read_token(self) -> str:
        if not self.service.token or (self.context and self.context.answer):
            return ""
        return self.service.read_token(self.call)

    def _wait_for_room(self, journal: Journal | None, token: str) -> Result[None]:
        """Waits a little for room in the budget. Raises LimitReached, and LeaseLost."""
        self._check_lease()
        budget, waited = self._open_budget(), 0.0
        if budget is None or self.context is None:
            return
        key, who, ticket = self.service.name_budget(token), self.context.who, journal.run if journal else draw_ticket()
        while (room := (yield Do(lambda: budget.take(key, Limit.READ, who, ticket)))).seconds:
            waited += room.seconds
            if waited > MAX_WAIT_SECONDS:
                words = f"the limit of {self.service.name} is reached, or it asked for a pause"
                raise LimitReached(str(self.call), 0, words, seconds=room.seconds)
            yield Wait(room.seconds)
            self._check_lease()

    def _open_budget(self) -> Budget | None:
        if self.context is None or self.context.redis is None:
            return None
        window = self.service.rate[1]
        margin = min(MARGIN_SHARE * window, MARGIN_SECONDS)
        return Budget(self.context.redis(), self.service.limits, window, margin)

    def _check_lease(self) -> None:
        if self.context:
            self.context.lease.check()


def is_refusal(answer: Answer) -> bool:
    """Whether the call has surely not happened."""
    return 300 <= answer.status < 500 and answer.status != 408
