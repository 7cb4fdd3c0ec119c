"""The two clients. Neither follows a redirect, and neither repeats a call by itself: the ledger does that."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2

from .calls import Call, Page, after, first, page, read, unlike
from .errors import Unreachable
from .resources import Devices, Invoices, Sender, VirtualServers, Webhooks

Key = Callable[[], str]
Guard = Callable[[], None]
TIMEOUT = httpx2.Timeout(10.0, connect=3.0)


def unguarded() -> None:
    """No lease to check: not inside a handler."""


def options(base_url: str) -> dict[str, Any]:
    return {
        "base_url": base_url,
        "timeout": TIMEOUT,
        "follow_redirects": False,  # a redirect must never carry the key elsewhere
        "headers": {"user-agent": "zyra-receiver", "accept": "application/json"},
        "trust_env": False,
    }


class Zyra:
    """Zyra's API for `def` handlers. Raises ZyraError; LeaseLost where another attempt may own the run.

    key: called for each request, so that a changed key file counts at once.
    """

    def __init__(self, base_url: str, key: Key, *, http: httpx2.Client | None = None, guard: Guard = unguarded) -> None:
        self._base_url, self._key, self._guard = base_url, key, guard
        self._http = http or httpx2.Client(**options(base_url))
        send: Sender[dict[str, Any], Iterator[dict[str, Any]]] = Sender(self._one, self._many)
        self.devices = Devices(send)
        self.virtual_servers = VirtualServers(send)
        self.invoices = Invoices(send)
        self.webhooks = Webhooks(send)

    def request(self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Any other call: what stands under `data`."""
        return self._one(Call(method=method, path=own(path), params=params or {}, body=body))

    def guarded(self, guard: Guard) -> "Zyra":
        """The same client, which calls guard before each request."""
        return Zyra(self._base_url, self._key, http=self._http, guard=guard)

    def close(self) -> None:
        self._http.close()

    def _one(self, call: Call) -> Any:
        return read(call, self._send(call))

    def _many(self, call: Call) -> Iterator[dict[str, Any]]:
        following: Call | None = first(call)
        found: Page | None = None
        while following is not None:
            found = unlike(following, page(following, self._send(following)), found)
            yield from found.items
            following = after(following, found)

    def _send(self, call: Call) -> httpx2.Response:
        self._guard()
        try:
            return self._http.request(call.method, call.path, **arguments(call, self._key()))
        except httpx2.HTTPError as error:
            raise Unreachable(
                0, "unreachable", type(error).__name__, call=str(call)
            ) from None  # its words may hold the key


class AsyncZyra:
    """The same for `async def` handlers: what Zyra returns is awaited, lists are iterated with `async for`."""

    def __init__(
        self, base_url: str, key: Key, *, http: httpx2.AsyncClient | None = None, guard: Guard = unguarded
    ) -> None:
        self._base_url, self._key, self._guard = base_url, key, guard
        self._http = http or httpx2.AsyncClient(**options(base_url))
        send: Sender[Awaitable[dict[str, Any]], AsyncIterator[dict[str, Any]]] = Sender(self._one, self._many)
        self.devices = Devices(send)
        self.virtual_servers = VirtualServers(send)
        self.invoices = Invoices(send)
        self.webhooks = Webhooks(send)

    async def request(self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> Any:
        """Any other call: what stands under `data`."""
        return await self._one(Call(method=method, path=own(path), params=params or {}, body=body))

    def guarded(self, guard: Guard) -> "AsyncZyra":
        return AsyncZyra(self._base_url, self._key, http=self._http, guard=guard)

    async def close(self) -> None:
        await self._http.aclose()

    async def _one(self, call: Call) -> Any:
        return read(call, await self._send(call))

    async def _many(self, call: Call) -> AsyncIterator[dict[str, Any]]:
        following: Call | None = first(call)
        found: Page | None = None
        while following is not None:
            found = unlike(following, page(following, await self._send(following)), found)
            for item in found.items:
                yield item
            following = after(following, found)

    async def _send(self, call: Call) -> httpx2.Response:
        self._guard()
        try:
            return await self._http.request(call.method, call.path, **arguments(call, self._key()))
        except httpx2.HTTPError as error:
            raise Unreachable(
                0, "unreachable", type(error).__name__, call=str(call)
            ) from None  # its words may hold the key


def own(path: str) -> str:
    """A path on our own host: the key must not go anywhere else. Raises ValueError."""
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"{path!r} must be a path such as /api/v1/ml/jobs")
    return path


def arguments(call: Call, key: str) -> dict[str, Any]:
    found: dict[str, Any] = {"params": call.params or None, "headers": {"authorization": f"Bearer {key}"}}
    return found if call.body is None else {**found, "json": call.body}
