"""What a method of a client returns: one row, the rows of a list page by page, or the size of a file."""

from collections.abc import AsyncIterator, Awaitable, Iterator
from os import PathLike
from typing import Any, Generic, TypeVar, cast

import httpx2

from . import calls
from .caller import Caller
from .calls import Call
from .issued_calls import IssuedCalls
from .models import Row
from .transport import run, run_async

R = TypeVar("R", bound=Row)


class Blocking(Generic[R]):
    """Sends for `Zyra`: values, iterators, sizes."""

    def __init__(self, caller: Caller, http: httpx2.Client, kind: type[R]) -> None:
        self._caller = caller
        self._http = http
        self._kind = kind

    def one(self, name: str, *ids: str, body: Any = None, params: dict[str, Any] | None = None) -> R:
        call = calls.make_listed_call(self._caller.routes[name], ids, params, body)
        row: Row = run(self._caller.fetch_row(call), self._http)
        return self._kind.make(row, row.request_id)

    def many(self, name: str, *ids: str, params: dict[str, Any]) -> Iterator[R]:
        return self.list_all(calls.make_listed_call(self._caller.routes[name], ids, params))

    def save(self, name: str, *ids: str, into: str | PathLike[str], params: dict[str, Any]) -> int:
        call = calls.make_listed_call(self._caller.routes[name], ids, params)
        return cast("int", run(self._caller.save(call, into), self._http))

    def list_all(self, call: Call) -> Iterator[R]:
        pages = calls.Pages(call)
        while pages.next:
            page = run(self._caller.fetch_page(pages.next), self._http)
            yield from (self._kind.make(item, page.request_id) for item in pages.take(page))


class Awaiting(Generic[R]):
    """Sends for `AsyncZyra`, once what it returns is awaited."""

    def __init__(self, caller: Caller, http: httpx2.AsyncClient, kind: type[R], issued: IssuedCalls) -> None:
        self._caller = caller
        self._http = http
        self._kind = kind
        self._issued = issued

    def one(self, name: str, *ids: str, body: Any = None, params: dict[str, Any] | None = None) -> Awaitable[R]:
        call = calls.make_listed_call(self._caller.routes[name], ids, params, body)
        return self._issued.add(name, self._fetch(call))

    async def _fetch(self, call: Call) -> R:
        row: Row = await run_async(self._caller.fetch_row(call), self._http)
        return self._kind.make(row, row.request_id)

    def many(self, name: str, *ids: str, params: dict[str, Any]) -> AsyncIterator[R]:
        return self.list_all(calls.make_listed_call(self._caller.routes[name], ids, params))

    def save(self, name: str, *ids: str, into: str | PathLike[str], params: dict[str, Any]) -> Awaitable[int]:
        call = calls.make_listed_call(self._caller.routes[name], ids, params)
        return self._issued.add(name, run_async(self._caller.save(call, into), self._http))

    async def list_all(self, call: Call) -> AsyncIterator[R]:
        pages = calls.Pages(call)
        while pages.next:
            page = await run_async(self._caller.fetch_page(pages.next), self._http)
            for item in pages.take(page):
                yield self._kind.make(item, page.request_id)
