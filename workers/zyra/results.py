"""How a call becomes what its method returns: one row, the rows of a list page by page, or a file."""

import logging
from collections.abc import AsyncIterator, Generator, Iterator
from os import PathLike
from typing import Any, Generic, TypeVar, cast

import httpx2

from . import calls
from .caller import Terms
from .calls import Answer, Call
from .effects import Step
from .errors import RateLimited, Unauthorized, Unreadable, ZyraError
from .models import Row
from .recorded_calls import perform
from .transport import run, run_async

log = logging.getLogger(__name__)
UNSENT = ("budget", "refused-before")
R = TypeVar("R", bound=Row)
Result = Generator[Step, Any, Any]


def result(call: Call, terms: Terms) -> Result:
    """What the API's answer to a call holds. What to do about an error is said in the log."""
    try:
        answer: Answer = yield from perform(call, terms)
        return calls.read(call, answer)
    except ZyraError as error:
        advise(error)
        raise


def page(call: Call, terms: Terms) -> Result:
    try:
        answer: Answer = yield from perform(call, terms)
        return calls.page(call, answer)
    except ZyraError as error:
        advise(error)
        raise


def saved(call: Call, terms: Terms, into: str | PathLike[str]) -> Result:
    """The size of the file."""
    try:
        answer: Answer = yield from perform(call, terms, into)
        if not answer.is_success:
            raise calls.error(call, answer, calls.parse(answer))
        return answer.size
    except ZyraError as error:
        advise(error)
        raise


def advise(error: ZyraError) -> None:
    """Not of what was not sent for reasons that were told once: the budget, or a key that is known to be refused."""
    level = logging.DEBUG if isinstance(error, RateLimited | Unauthorized) and error.code in UNSENT else logging.WARNING
    log.log(level, "%s: %s", error, error.advice)


def as_row(call: Call, found: Any, kind: type[R]) -> R:
    if found is None:
        return kind()
    if not isinstance(found, dict):
        raise Unreadable(200, "unreadable", "the answer holds no object", call=str(call))
    return kind(found)


class Blocking(Generic[R]):
    """Sends for `Zyra`: values, iterators, sizes."""

    def __init__(self, terms: Terms, http: httpx2.Client, kind: type[R]) -> None:
        self._terms = terms
        self._http = http
        self._kind = kind

    def one(self, name: str, *ids: str, body: Any = None, params: dict[str, Any] | None = None) -> R:
        call = calls.call(self._terms.routes[name], ids, params, body)
        return as_row(call, run(result(call, self._terms), self._http), self._kind)

    def many(self, name: str, *ids: str, params: dict[str, Any]) -> Iterator[R]:
        return self.listed(calls.call(self._terms.routes[name], ids, params))

    def save(self, name: str, *ids: str, into: str | PathLike[str], params: dict[str, Any]) -> int:
        call = calls.call(self._terms.routes[name], ids, params)
        return cast("int", run(saved(call, self._terms, into), self._http))

    def listed(self, call: Call) -> Iterator[R]:
        following: Call | None = calls.first(call)
        found: calls.Page | None = None
        while following is not None:
            found = calls.unlike(following, run(page(following, self._terms), self._http), found)
            yield from map(self._kind, found.items)
            following = calls.after(following, found)


class Awaiting(Generic[R]):
    """Sends for `AsyncZyra`."""

    def __init__(self, terms: Terms, http: httpx2.AsyncClient, kind: type[R]) -> None:
        self._terms = terms
        self._http = http
        self._kind = kind

    async def one(self, name: str, *ids: str, body: Any = None, params: dict[str, Any] | None = None) -> R:
        call = calls.call(self._terms.routes[name], ids, params, body)
        return as_row(call, await run_async(result(call, self._terms), self._http), self._kind)

    def many(self, name: str, *ids: str, params: dict[str, Any]) -> AsyncIterator[R]:
        return self.listed(calls.call(self._terms.routes[name], ids, params))

    async def save(self, name: str, *ids: str, into: str | PathLike[str], params: dict[str, Any]) -> int:
        call = calls.call(self._terms.routes[name], ids, params)
        return cast("int", await run_async(saved(call, self._terms, into), self._http))

    async def listed(self, call: Call) -> AsyncIterator[R]:
        following: Call | None = calls.first(call)
        found: calls.Page | None = None
        while following is not None:
            asked = await run_async(page(following, self._terms), self._http)
            found = calls.unlike(following, asked, found)
            for item in found.items:
                yield self._kind(item)
            following = calls.after(following, found)
