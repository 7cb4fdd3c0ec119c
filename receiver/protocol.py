"""uvicorn's HTTP protocol with bounds on what precedes a request's body; uvicorn itself has none."""

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

DEADLINE = 10.0  # seconds until the headers of a request must be complete
LARGEST = 64 * 1024  # bytes of request line and headers


class Cycle(RequestResponseCycle):
    """Sends an answer that is whole in one piece; uvicorn sends its head and its body by a system call each."""

    _start: HTTPResponseStartEvent | None = None

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message  # the last one counts: an application that failed since is answered 500
            return
        start, self._start = self._start, None
        if start is None:
            await super().send(message)
        elif message["type"] != "http.response.body" or message.get("more_body") or self.scope["method"] == "HEAD":
            await super().send(start)
            await super().send(message)
        else:
            await self._answer(start, message.get("body", b""))

    async def _answer(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        lines = [STATUS_LINE[start["status"]]]
        for name, value in (*self.default_headers, *start["headers"]):
            lines += (name, b": ", value, b"\r\n")
            if name == b"connection" and value == b"close":
                self.keep_alive = False
        if not self.keep_alive and (b"connection", b"close") not in start["headers"]:
            lines.append(b"connection: close\r\n")
        self.transport.write(b"".join((*lines, b"\r\n", body)))
        self.response_started = self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


httptools_impl.RequestResponseCycle = Cycle  # type: ignore[misc]  # uvicorn has no other place to say so


class BoundedProtocol(HttpToolsProtocol):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._size = 0
        self._in_headers = True  # of the first request, or of one that has begun

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._bound()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_headers = False
        self._bound()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_headers:
            self._size += len(data)
            if self._size > LARGEST:
                self._refuse(b"431 Request Header Fields Too Large", b"the headers are too large")
        self._bound()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True

    def on_headers_complete(self) -> None:
        self._in_headers = False
        super().on_headers_complete()

    def _bound(self) -> None:
        """Headers that come in one piece, as nearly all do, need no timer."""
        if self._in_headers and self._timer is None:
            text = b"the request did not complete in time"
            self._timer = self.loop.call_later(DEADLINE, self._refuse, b"408 Request Timeout", text)
        elif not self._in_headers and self._timer is not None:
            self._timer.cancel()
            self._timer, self._size = None, 0

    def _refuse(self, status: bytes, why: bytes) -> None:
        self._in_headers = False
        self._bound()
        body = b'{"error": "' + why + b'"}'
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, len(body)) + body)
        self.transport.close()
