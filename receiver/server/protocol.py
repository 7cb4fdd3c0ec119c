"""uvicorn's HTTP protocol, with bounds on everything that an unsigned sender may use; uvicorn itself has few.

A connection parses until it is stopped: by a malformed request, by one that was answered before it was complete, by
too many that wait for their answers. From then on what arrives is read and dropped, so that the sender can read the
answer (a close with unread bytes resets the connection), until it closes, or a bound is met.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from ..errors import TooSlow, draw_retry_after
from .connections import STATE, Connection, Connections
from .cycle import Cycle

MAX_HEAD_BYTES = 64 * 1024  # of request line and headers; of trailers likewise
MAX_HEADERS = 256
MAX_REMEMBERED_BYTES = 1024  # of a URL
MUCH_BYTES = 16 * 1024  # of one read: more than most small requests have
MAX_WAITING = 8  # requests of one connection that wait for the answer to the one before
MAX_DROPPED_BYTES = 64 * 1024 * 1024  # of a connection that is not parsed any more
HOP_BY_HOP = frozenset((b"upgrade", b"connection", b"http2-settings"))
UPGRADE_OPTIONS = frozenset((b"upgrade", b"http2-settings"))


class Refusal(NamedTuple):
    """What the protocol itself answers."""

    status: bytes
    why: bytes
    retry: bool = False


NO_HTTP = Refusal(b"400 Bad Request", b"this is not an HTTP request")
BAD_HOST = Refusal(b"400 Bad Request", b"send one Host header")
NO_CONNECT = Refusal(b"400 Bad Request", b"this is no proxy")
LARGE_HEAD = Refusal(b"431 Request Header Fields Too Large", b"the headers are too large")
LARGE_TRAILERS = Refusal(b"400 Bad Request", b"the trailers are too large")
TOO_SLOW = Refusal(b"408 Request Timeout", TooSlow.error.encode())
NO_ROOM = Refusal(b"503 Service Unavailable", b"try again later", retry=True)


class Stop(Exception):
    """Nothing more is parsed; those that wait are answered."""


class Malformed(Exception):
    """The request is refused, and nothing more is parsed."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.why)


def read_target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query. Raises what a URL raises that is none."""
    target = httptools.parse_url(url)
    path: bytes = target.path
    text = path.decode("ascii")
    return unquote(text) if "%" in text else text, path, target.query or b""


remember_target = lru_cache(maxsize=64)(read_target)  # providers call a few URLs again and again


class GuardedProtocol(HttpToolsProtocol):
    cycle: Cycle | None  # type: ignore[assignment]  # the newest request; None between two

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        if STATE not in self.app_state:
            self.app_state[STATE] = Connections()
        self.senders: Connections = self.app_state[STATE]
        self.phase: dict[Connection, float] | None = None
        self._in_head = True  # of the first request, or of one that has begun
        self._head_bytes = 0  # of reads before this one
        self._read_bytes = 0  # of this read
        self._hosts = 0
        self._dry_bytes = 0  # received since the last byte of a body: chunk sizes and trailers
        self._got_body = False
        self._stopped = False
        self._dropped_bytes = 0
        self._last_words = b""  # said once those that wait are answered
        self._waiting: deque[Cycle] = deque()  # for the answer to the one before, the newest first
        self._active: Cycle | None = None  # the one that is being answered; `cycle` is the newest

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server = get_local_addr(transport)
        self.client = get_remote_addr(transport)
        self.scheme = "https" if is_ssl(transport) else "http"
        self.senders.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self.senders.remove(self)
        for cycle in (self._active, self.cycle):
            if cycle and not cycle.response_complete:
                cycle.disconnect()
        self._drop_waiting()
        self.flow.resume_writing()
        self._forget()
        self._stopped = True
        self.parser = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if len(data) >= MUCH_BYTES and self.senders.take_turns(self, len(data)):
            self.flow.pause_reading()
        if self._stopped:
            self._dropped_bytes += len(data)
            if self._dropped_bytes > MAX_DROPPED_BYTES:
                self.abort()
            return
        self._got_body, self._read_bytes = False, len(data)
        try:
            self._parse(data)
            self._wait(len(data))
        except Stop:
            self._stop()
        except Malformed as malformed:
            self.senders.malformed += 1
            self._refuse(malformed.refusal)

    def _parse(self, data: bytes) -> None:
        """Feeds the parser. Raises Stop and Malformed."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # we stop by ourselves
            except httptools.HttpParserCallbackError as error:
                if isinstance(error.__context__, Stop | Malformed):
                    raise error.__context__ from None
                raise Malformed(NO_HTTP) from None
            except httptools.HttpParserError:
                raise Malformed(NO_HTTP) from None

    def _without_upgrade(self) -> bytes:
        """The head of a request that asks for an upgrade, as if it did not (RFC 9110, 7.8: a server may ignore it).

        The parser takes what follows such a head for another protocol, a body included.
        """
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() not in UPGRADE_OPTIONS)
            if value if name == b"connection" else name not in HOP_BY_HOP:
                lines.append(b"%b: %b" % (name, value))
        return b"\r\n".join([*lines, b"", b""])

    def _wait(self, received: int) -> None:
        """Notes whether this connection waits for its sender. Raises Malformed: bounds what is no body."""
        newest = self.cycle
        if newest is not None and newest.arrived_bytes:
            self._take(newest)
            newest.message_event.set()
        if self._in_head:
            self._head_bytes += received
            if self._head_bytes > MAX_HEAD_BYTES:
                raise Malformed(LARGE_HEAD)
        elif newest is None:
            return  # blank lines between two requests
        elif not newest.is_incomplete:
            self.senders.move(self, None)
            return
        else:
            self._dry_bytes = 0 if self._got_body else self._dry_bytes + received
            if self._dry_bytes > MAX_HEAD_BYTES:
                raise Malformed(LARGE_TRAILERS)
        if self.phase is not self.senders.incomplete and not self.flow.write_paused:
            self.senders.move(self, self.senders.incomplete)

    # What the parser finds
    def on_message_begin(self) -> None:
        newest = self.cycle
        if newest is not None and (not newest.keep_alive or len(self._waiting) >= MAX_WAITING):
            raise Stop
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_head = True
        self._head_bytes = self._hosts = self._dry_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: no header, and nobody reads it
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or self._is_head_large():
            raise Malformed(LARGE_HEAD)
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            raise Malformed(NO_CONNECT)
        if self.parser.should_upgrade():
            return  # the parser says so next, and gets the head once more
        if self._hosts != 1 and (self._hosts or version == "1.1"):
            raise Malformed(BAD_HOST)  # RFC 9112, 3.2
        self.cycle = self._begin_cycle(method, version)
        self._in_head = False
        if self._active is None:
            self._start(self.cycle)
        else:
            self.flow.pause_reading()
            self._waiting.appendleft(self.cycle)

    def _is_head_large(self) -> bool:
        if self._head_bytes + self._read_bytes <= MAX_HEAD_BYTES:
            return False
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES

    def _begin_cycle(self, method: bytes, version: str) -> Cycle:
        """The request whose head is complete. Raises what a URL raises that is none."""
        read = remember_target if len(self.url) <= MAX_REMEMBERED_BYTES else read_target
        path, raw_path, query = read(self.url)
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]  # it does not narrow a str
            "method": method.decode("ascii"),
            "root_path": self.root_path,
            "path": self.root_path + path,
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state.copy(),
        }
        cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.limit_bytes = self.senders.max_body_bytes
        cycle.is_last_answer = self._is_last_answer
        return cycle

    def on_body(self, body: bytes) -> None:
        """Called for each chunk, however small; what can wait until the end of a read is done by `_take`."""
        cycle = self.cycle
        assert cycle
        cycle.body += body
        cycle.arrived_bytes += len(body)
        self._got_body = True

    def _take(self, cycle: Cycle) -> None:
        """Counts what has come of a body, and hands it to the application, if that still wants it."""
        size, cycle.arrived_bytes = cycle.arrived_bytes, 0
        if not cycle.is_incomplete:
            cycle.body = bytearray()
            return
        if len(cycle.body) > cycle.limit_bytes:
            self.flow.pause_reading()
        bodies = self.senders.bodies
        bodies.hold(cycle, size)
        if bodies.is_over:
            bodies.make_room([cycle, *self._incomplete_cycles()])

    def on_message_complete(self) -> None:
        if self._in_head:
            return  # of a request that asks for an upgrade
        cycle = self.cycle
        assert cycle
        if cycle.arrived_bytes:
            self._take(cycle)
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _incomplete_cycles(self) -> Iterator[Cycle]:
        for connection in self.senders.incomplete:
            cycle = cast("GuardedProtocol", connection).cycle
            if cycle is not None and cycle.is_incomplete:
                yield cycle

    # What we say
    def _start(self, cycle: Cycle) -> None:
        self._active = cycle
        self.tasks.add(self.loop.create_task(self._run(cycle)))

    async def _run(self, cycle: Cycle) -> None:
        try:
            await cycle.run_asgi(self.app)
        finally:
            self.tasks.discard(asyncio.current_task(self.loop))
            self.senders.bodies.release(cycle)

    def on_response_complete(self) -> None:
        """Starts the next request of this connection, or waits for one, or ends it."""
        self.server_state.total_requests += 1
        done, self._active = self._active, None
        if self.transport.is_closing() or done is None:
            return
        if done.body:
            done.body = bytearray()
        if not done.keep_alive or done.more_body:
            self._stopped = self._stopped or done.more_body or bool(self._waiting)
            self._end()
        elif self._waiting:
            self._start(self._waiting.pop())
            self.flow.resume_reading()
        elif self._stopped:
            self._end()
        else:
            self.flow.resume_reading()
            if not self._in_head:
                self._forget()
            if not self.flow.write_paused:
                self._wait_again()

    def _wait_again(self) -> None:
        """The sender is the one who is waited for."""
        between = self.cycle is None and not self._in_head
        self.senders.move(self, self.senders.idle if between else self.senders.incomplete)

    def _refuse(self, refusal: Refusal) -> None:
        """Says so after the answers to those that wait, and ends the connection."""
        body = b'{"error": "' + refusal.why + b'"}'
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
        again = b"retry-after: %b\r\n" % draw_retry_after() if refusal.retry else b""
        self._last_words = head % (refusal.status, len(body), again) + body
        broken = self.cycle
        if not self._in_head and broken is not None and broken.is_incomplete:
            broken.disconnect()
            if self._waiting:
                self._waiting.popleft()
                self.senders.bodies.release(broken)
            else:
                self._active = None
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        if self._active is None:
            self._end()
            return
        if not self._last_words:
            assert self.cycle
            self.cycle.keep_alive = False  # the last one that is answered says so
        self.flow.pause_reading()

    def _end(self) -> None:
        """Closes the connection: at once where all was read, else once the sender has read what we said."""
        if self.transport.is_closing():
            return
        if self._last_words:
            self.transport.write(self._last_words)
        self.senders.move(self, self.senders.closing)
        if self._stopped and self.transport.can_write_eof():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()
        self._stopped = True
        self._drop_waiting()
        self._forget()

    def _drop_waiting(self) -> None:
        for cycle in self._waiting:
            self.senders.bodies.release(cycle)
        self._waiting.clear()

    def _forget(self) -> None:
        """Lets go of the last request."""
        self.cycle = self._active = None
        self.scope = self.headers = None  # type: ignore[assignment]

    # What the senders do not read
    def pause_writing(self) -> None:
        super().pause_writing()
        self.senders.move(self, self.senders.closing)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stopped:
            return
        if self._active is None:
            self._wait_again()
        else:
            self.senders.move(self, None)

    def _is_last_answer(self) -> bool:
        return self.senders.draining and not self._waiting

    # What the server asks for at its end
    def shutdown(self) -> None:
        """Closes a connection between two requests. One without a first request may just have been made: it stays."""
        if self.phase is self.senders.idle:
            self.transport.close()

    # What Connections asks for
    def time_out(self) -> None:
        newest = self.cycle
        if not self._in_head and newest is not None and newest.is_incomplete:
            newest.fail(TooSlow, "deadline")
        else:
            self._refuse(TOO_SLOW)

    def read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def close_idle(self) -> None:
        self.transport.close()

    def abort(self) -> None:
        self.transport.abort()

    def make_room(self) -> None:
        """Closes at once; who has begun a request hears why."""
        if self._stopped:
            self.transport.abort()
            return
        if self.cycle is not None or (self._in_head and self._head_bytes):
            self._refuse(NO_ROOM)
        self.transport.close()
