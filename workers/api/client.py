"""The two clients: `Api` for `def` handlers, `AsyncApi` for `async def` ones. Both raise ApiError, and LeaseLost."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Coroutine, Mapping
from functools import cache
from typing import Any, Unpack
from weakref import WeakKeyDictionary

import httpx2

from ..context import CURRENT
from ..errors import WrongHandler
from ..function_checks import locate
from ..option_checks import parse_rate
from ..zyra.calls import Answer
from ..zyra.transport import make_options, run, run_async
from .flow import Flow
from .service import UNLIMITED, Options, Service, find_faults

POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()


class Api:
    """An HTTP API for `def` handlers. Paths begin with a slash. Each verb returns the answer's JSON, or None.

    repeat: whether a changing call may be made again if its answer got lost. If nothing is said: where the verb is
    idempotent (PUT, DELETE), or the API takes an idempotency key.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> Any:
        return self.request("GET", path, params=params).document

    def post(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Any:
        return self.request("POST", path, json=json, repeat=repeat).document

    def put(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Any:
        return self.request("PUT", path, json=json, repeat=repeat).document

    def patch(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Any:
        return self.request("PATCH", path, json=json, repeat=repeat).document

    def delete(self, path: str, *, repeat: bool | None = None) -> Any:
        return self.request("DELETE", path, repeat=repeat).document

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        repeat: bool | None = None,
    ) -> Answer:
        """The whole answer: `status`, `headers` with names in lower case, `content`, and `document`, its JSON."""
        flow, may_repeat = start_flow(self.service, method, path, params, json, repeat)
        answer: Answer
        if flow.context and flow.context.answer:
            with httpx2.Client(**make_options(""), transport=httpx2.MockTransport(flow.context.answer)) as http:
                answer = run(flow.fetch(may_repeat), http)
        else:
            answer = run(flow.fetch(may_repeat), open_pool(os.getpid()))
        return answer


class AsyncApi:
    """The same for `async def` handlers: each call is awaited."""

    def __init__(self, service: Service) -> None:
        self.service = service

    def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> Awaitable[Any]:
        return self._issue("get", path, self._read("GET", path, params=params))

    def post(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Awaitable[Any]:
        return self._issue("post", path, self._read("POST", path, json=json, repeat=repeat))

    def put(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Awaitable[Any]:
        return self._issue("put", path, self._read("PUT", path, json=json, repeat=repeat))

    def patch(self, path: str, *, json: Any = None, repeat: bool | None = None) -> Awaitable[Any]:
        return self._issue("patch", path, self._read("PATCH", path, json=json, repeat=repeat))

    def delete(self, path: str, *, repeat: bool | None = None) -> Awaitable[Any]:
        return self._issue("delete", path, self._read("DELETE", path, repeat=repeat))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        repeat: bool | None = None,
    ) -> Awaitable[Answer]:
        return self._issue("request", path, self._send(method, path, params, json, repeat))

    async def _read(self, method: str, path: str, **asked: Any) -> Any:
        return (await self._send(method, path, **asked)).document

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        repeat: bool | None = None,
    ) -> Answer:
        flow, may_repeat = start_flow(self.service, method, path, params, json, repeat)
        answer: Answer
        if flow.context and flow.context.answer:
            transport = httpx2.MockTransport(flow.context.answer)
            async with httpx2.AsyncClient(**make_options(""), transport=transport) as http:
                answer = await run_async(flow.fetch(may_repeat), http)
        else:
            answer = await run_async(flow.fetch(may_repeat), open_async_pool())
        return answer

    def _issue(self, verb: str, path: str, call: Coroutine[Any, Any, Any]) -> Awaitable[Any]:
        """A call that nobody awaits fails the attempt."""
        if context := CURRENT.get(None):
            return context.issued.add(f"{self.service.name}.{verb}({path!r})", call)
        return call


def start_flow(
    service: Service, method: str, path: str, params: Mapping[str, Any] | None, json: Any, repeat: bool | None
) -> tuple[Flow, bool]:
    """Of a call in the present attempt, and whether it may be repeated."""
    call = service.make_call(method.upper(), path, params, json)
    return Flow(service, call, CURRENT.get(None)), service.can_repeat(call) if repeat is None else repeat


@cache
def open_pool(pid: int) -> httpx2.Client:
    """The connections of this process: a forked child must not share those of its parent."""
    return httpx2.Client(**make_options(""))


def open_async_pool() -> httpx2.AsyncClient:
    """The connections of this event loop."""
    loop = asyncio.get_running_loop()
    if loop not in POOLS:
        POOLS[loop] = httpx2.AsyncClient(**make_options(""))
    return POOLS[loop]


def client(name: str, url: str, **options: Unpack[Options]) -> Api:
    """A client for an HTTP API, for `def` handlers.

    name: what logs and budgets call it. url: https, such as "https://api.github.com".
    token: the environment variable that holds the token, or NAME_FILE beside it. It goes into `header`, after `prefix`:
        "authorization" and "Bearer " if nothing is said.
    headers: go with every call.
    rate: the API's limit for this token, over all workers: "5000/h". Half of it may be used at once, the rest evenly.
        The API's Retry-After counts in any case.
    idempotency_header: where the API takes a key by which it knows a repeated call, such as "idempotency-key".

    Raises WrongHandler, a ValueError, where an argument makes no sense.
    """
    return Api(make_service(locate(sys._getframe(1)), name, url, options))


def async_client(name: str, url: str, **options: Unpack[Options]) -> AsyncApi:
    """The same for `async def` handlers."""
    return AsyncApi(make_service(locate(sys._getframe(1)), name, url, options))


def make_service(place: str, name: str, url: str, options: Options) -> Service:
    if faults := list(find_faults(name, url, options)):
        raise WrongHandler(place, faults)
    rate = options.get("rate")
    return Service(
        name=name,
        url=url.rstrip("/"),
        token=options.get("token", ""),
        header=options.get("header", "authorization"),
        prefix=options.get("prefix", "Bearer "),
        headers=dict(options.get("headers", {})),
        rate=parse_rate(rate) if rate else UNLIMITED,
        idempotency_header=options.get("idempotency_header", ""),
    )
