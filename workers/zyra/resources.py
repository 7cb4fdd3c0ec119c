"""The calls by area, described once. `One` and `Many` are what the client makes of them: values, or values to await.

Documented paths: https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
Assumed, since no page that could be read shows them: the paths below one item.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .calls import Call, path

One = TypeVar("One")
Many = TypeVar("Many")


@dataclass(frozen=True, slots=True)
class Sender(Generic[One, Many]):
    """How a client sends: one call for one object, or as many as a list has pages."""

    one: Callable[[Call], One]
    many: Callable[[Call], Many]


class Devices(Generic[One, Many]):
    def __init__(self, send: Sender[One, Many]) -> None:
        self._send = send

    def list(self, **filters: Any) -> Many:
        return self._send.many(Call(method="GET", path=path("devices"), params=filters))

    def get(self, device: str) -> One:
        return self._send.one(Call(method="GET", path=path("devices", device)))

    def register(self, **fields: Any) -> One:
        return self._send.one(Call(method="POST", path=path("devices"), body=fields))

    def approve(self, device: str) -> One:
        return self._send.one(Call(method="POST", path=path("devices", device, "approve")))

    def remove(self, device: str) -> One:
        return self._send.one(Call(method="DELETE", path=path("devices", device)))


class VirtualServers(Generic[One, Many]):
    def __init__(self, send: Sender[One, Many]) -> None:
        self._send = send

    def list(self, **filters: Any) -> Many:
        return self._send.many(Call(method="GET", path=path("virtual-servers"), params=filters))

    def get(self, server: str) -> One:
        return self._send.one(Call(method="GET", path=path("virtual-servers", server)))

    def create(self, **fields: Any) -> One:
        return self._send.one(Call(method="POST", path=path("virtual-servers"), body=fields))

    def start(self, server: str) -> One:
        return self._send.one(Call(method="POST", path=path("virtual-servers", server, "start")))

    def stop(self, server: str) -> One:
        return self._send.one(Call(method="POST", path=path("virtual-servers", server, "stop")))

    def resize(self, server: str, **fields: Any) -> One:
        return self._send.one(Call(method="POST", path=path("virtual-servers", server, "resize"), body=fields))

    def terminate(self, server: str) -> One:
        return self._send.one(Call(method="DELETE", path=path("virtual-servers", server)))


class Invoices(Generic[One, Many]):
    def __init__(self, send: Sender[One, Many]) -> None:
        self._send = send

    def list(self, **filters: Any) -> Many:
        return self._send.many(Call(method="GET", path=path("invoices"), params=filters))

    def get(self, invoice: str) -> One:
        return self._send.one(Call(method="GET", path=path("invoices", invoice)))


class Endpoints(Generic[One, Many]):
    """https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks"""

    def __init__(self, send: Sender[One, Many]) -> None:
        self._send = send

    def list(self) -> Many:
        return self._send.many(Call(method="GET", path=path("webhooks", "endpoints")))

    def get(self, endpoint: str) -> One:
        return self._send.one(Call(method="GET", path=path("webhooks", "endpoints", endpoint)))

    def create(self, url: str, events: Sequence[str], description: str = "") -> One:
        """The endpoint, with its signing secret: this is the only time that Zyra tells it."""
        body = {"url": url, "events": [*events], "description": description}
        return self._send.one(Call(method="POST", path=path("webhooks", "endpoints"), body=body))

    def delete(self, endpoint: str) -> One:
        return self._send.one(Call(method="DELETE", path=path("webhooks", "endpoints", endpoint)))


class Webhooks(Generic[One, Many]):
    def __init__(self, send: Sender[One, Many]) -> None:
        self.endpoints = Endpoints(send)
