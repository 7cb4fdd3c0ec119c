"""One request and its response: uvicorn's, with bounds."""

from collections.abc import Callable

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent, HTTPResponseStartEvent
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..errors import Rejected


class Cycle(RequestResponseCycle):
    """Sends a response that is whole in one piece; uvicorn sends its head and its body by a system call each."""

    held_bytes = 0  # of the body, as the budget counts them
    limit_bytes = 0  # of the body: what is larger is not waited for
    arrived_bytes = 0  # of the body, not counted yet
    is_last_answer: Callable[[], bool] = staticmethod(lambda: False)  # whether its connection ends with it
    _start: HTTPResponseStartEvent | None = None
    _is_handed_over = False
    _failure: tuple[type[Rejected], str] | None = None  # an error itself would keep the frames that raised it

    @property
    def is_incomplete(self) -> bool:
        """Whether bytes of the request are still to come, and somebody waits for them."""
        return self.more_body and not (self.response_complete or self.disconnected or self._failure)

    def fail(self, kind: type[Rejected], cause: str) -> None:
        """Ends the wait for the rest of the request: `receive` raises this error."""
        self._failure = kind, cause
        self.body = bytearray()
        self.message_event.set()

    def disconnect(self) -> None:
        """Whatever the application says from now on, nobody hears it."""
        self.disconnected = True
        self.message_event.set()

    async def receive(self) -> ASGIReceiveEvent:
        """The whole body, or of one that is too large as much as shows that. Raises what `fail` was told.

        A body stays here until it is whole, where `fail` can let go of it at once.
        """
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        while self._waits():
            await self.message_event.wait()
            self.message_event.clear()
        if self._failure:
            raise self._failure[0](self._failure[1])
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body, self._is_handed_over = bytes(self.body), bytearray(), not self.more_body
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    def _waits(self) -> bool:
        """Whether there is nothing to tell yet: the body is not whole, or was handed over, and the sender is there."""
        if self._is_handed_over:
            return not (self.response_complete or self.disconnected)
        return self.is_incomplete and len(self.body) <= self.limit_bytes

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message  # the last one counts: an application that failed since is answered 500
            return
        start, self._start = self._start, None
        if start is None:
            await super().send(message)
        elif message["type"] != "http.response.body" or message.get("more_body"):
            await super().send(start)
            await super().send(message)
        else:
            await self._respond(start, b"" if self.scope["method"] == "HEAD" else message.get("body", b""))

    async def _respond(self, start: HTTPResponseStartEvent, body: bytes) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if self.more_body:
            self.keep_alive = False  # the rest of the request is not parsed
        if self.is_last_answer():
            self.keep_alive = False
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
        self.on_response()
