"""The way of a call, as steps: what an earlier attempt recorded, or what has become of it, or else the request itself.

Written once; `transport.py` takes the steps, blocking or not.
"""

from collections.abc import Generator
from os import PathLike
from typing import Any

from ..errors import RetryLater
from . import calls
from .caller import Flow, Terms, judged, room, signed, spend
from .calls import Answer, Call
from .effects import Do, Send, Step
from .errors import Unreachable
from .journal import Entry, Journal, State
from .recovery import look_up

ROUNDS = 3  # times that the journal is looked at for one call


def perform(call: Call, terms: Terms, into: str | PathLike[str] | None = None) -> Flow:
    """The answer, whatever its status. Raises ZyraError where there is none, and LeaseLost."""
    if terms.journal is None or not call.route.changes:
        return (yield from spend(Send(call, {}, into), terms))
    for left in reversed(range(ROUNDS)):
        answer = yield from recorded(call, terms, terms.journal, last=left == 0)
        if answer is not None:
            return answer
    raise RetryLater(5, f"{call}: another attempt of the run changed its journal meanwhile")


def recorded(call: Call, terms: Terms, journal: Journal, last: bool) -> Generator[Step, Any, Answer | None]:
    """A changing call of a run: made at most once, whatever becomes of the attempts. None: look at the journal again.

    Between the entry and the answer there is nothing but the request, so what fails before it has not happened.
    """
    entry: Entry | None = yield Do(lambda: journal.find(call) or journal.find_lost(call))
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
    renewed = yield from judged(answer, request, terms, ring, last)
    return None if renewed else answer
