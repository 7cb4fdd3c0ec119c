"""POST /webhooks/{source}: from the first byte of a delivery to its answer."""

import asyncio
import time
from collections.abc import Iterable, Mapping

from starlette.types import Message, Receive, Scope, Send

from .contract.tracing import Span, Tracing
from .delivery import Delivery, inflate
from .delivery_log import ECHOED, DeliveryLog
from .errors import (
    BadSignature,
    NotFound,
    Rejected,
    TooLarge,
    Unavailable,
    WrongEncoding,
    WrongMethod,
)
from .handshakes import Answer
from .inbox import Inbox, Receipt
from .metrics import Metrics
from .notices import Notices
from .readiness import Watch
from .remote.keys import RemoteKeys
from .reports import Reports
from .responses import Headers, refuse, render_success, reply, send_answer
from .source_keys import SourceKeys
from .sources import Accepted, Source

PREFIX = "/webhooks/"
ROUTE = f"{PREFIX}{{source}}"
PLAIN = (b"", b"identity")
GZIP = (*PLAIN, b"gzip")
GUARDED = frozenset((b"content-encoding", b"content-length", *ECHOED))
MAX_ECHO_BYTES = 200  # of one


class Disconnected(Exception):
    """The sender left before its request was complete."""


class Endpoint:
    """The ASGI application for deliveries."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        keys: Mapping[str, SourceKeys],
        inbox: Inbox,
        watch: Watch,
        metrics: Metrics,
        notices: Notices,
        reports: Reports,
        remote: Mapping[str, RemoteKeys],
        max_body_bytes: int,
        delivery_log: DeliveryLog,
    ) -> None:
        self._sources = sources
        self._keys = keys
        self._limit = max_body_bytes
        self._remote = remote
        self._inbox = inbox
        self._watch = watch
        self._metrics = metrics
        self._notices = notices
        self._reports = reports
        self._log = delivery_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send, span: Span | None = None) -> None:
        headers = scope["headers"]
        echo: list[tuple[bytes, bytes]] = []
        try:
            source = self._source(scope)
            limit = source.max_body or self._limit
            self._guard(headers, source.scheme.gzip != "", limit, echo)
            body = await self._body(receive, limit)
            started = time.perf_counter()
            delivery = Delivery(headers, body, scope["method"], build_url(source, scope))
            if source.scheme.gzip and delivery.text(b"content-encoding") == "gzip":
                delivery.body = inflate(body, limit)
            if source.scheme.handshakes and (answered := await self._handshake(source, delivery)):
                self._metrics.handshake(source.name)
                await reply(send, answered, echo)
                return
            if delivery.method != "POST":
                raise WrongMethod("method")
            now = time.time()
            if source.fetches:
                proof = await self._remote[source.name].prove(delivery, now)
            else:
                proof = self._keys[source.name].prove(delivery, now)
            accepted = source.accept(proof, now, span.traceparent if span else "")
            if not self._watch.met:  # what is answered 2xx is kept as DURABILITY says
                raise Unavailable("durability")
            if self._watch.full:
                raise Unavailable("memory")
            receipt = await (self._accept_traced(span, accepted) if span else self._inbox.accept(accepted))
            spent = time.perf_counter() - started
            self._metrics.accept(source.name, receipt.duplicate, accepted.untyped, spent)
            self._reports.accept(source.name)
            if self._log.is_on:
                self._log.accept(accepted, receipt, source.success_status, spent, echo)
            body = render_success(source.scheme, receipt)
            more = [*source.success_headers, *echo] if echo else source.success_headers
            await send_answer(send, source.success_status, body, more)
        except BadSignature as rejected:
            self._reject(scope, source.name, rejected, echo)
            self._notices.note_refusal(source, delivery, rejected.cause, time.perf_counter() - started)
            await refuse(send, rejected, source.scheme.failure_status, source.scheme.silent, echo)
        except Rejected as rejected:
            name = scope["path"][len(PREFIX) :]
            self._reject(scope, name if name in self._sources else "", rejected, echo)
            await refuse(send, rejected, echo=echo)
        except Disconnected:
            self._metrics.disconnects.inc()
        except asyncio.CancelledError:  # the server ends, and this request took too long for that
            await refuse(send, Unavailable("shutdown"), echo=echo)

    async def serve_traced(self, tracing: Tracing, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves a request as `__call__` does, with a span."""
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        sent = dict(scope["headers"]).get(b"traceparent", b"")[:MAX_ECHO_BYTES].decode("latin-1")
        method = scope["method"]
        span = tracing.start(f"{method} {ROUTE}", "server", sent, http__request__method=method, http__route=ROUTE)
        try:
            await self(scope, receive, note_status, span)
        finally:
            span.set(http__response__status_code=status)
            span.end(str(status) if status >= 500 or not status else "")

    async def _accept_traced(self, span: Span, accepted: Accepted) -> Receipt:
        labels = accepted.event.labels
        span.set(zr__source=labels.source, zr__type=labels.type)
        write = span.tracing.start("accept", parent=span, zr__source=labels.source)
        try:
            receipt = await self._inbox.accept(accepted)
        except Unavailable as error:
            write.end(error.cause)
            raise
        span.set(zr__event=receipt.id, zr__duplicate=receipt.duplicate)
        write.set(zr__event=receipt.id)
        write.end()
        return receipt

    def _reject(self, scope: Scope, source: str, rejected: Rejected, echo: Headers) -> None:
        """Counts and logs. source: "" of a path that names none."""
        self._metrics.reject(rejected, source)
        if isinstance(rejected, Unavailable):
            self._watch.outage.count(rejected.cause, source)
        else:
            if source:
                self._reports.refuse(source, rejected.cause)
            request_id = dict(echo).get(b"x-request-id", b"").decode("latin-1")
            self._log.refuse(scope, source, rejected.status, rejected.cause, request_id)

    async def _handshake(self, source: Source, delivery: Delivery) -> Answer | None:
        """The answer to a challenge or a ping, if the delivery is one. Raises Rejected."""
        asked = source.find_handshake(delivery)
        if asked is None:
            return None
        remote, now = self._remote.get(source.name), time.time()
        proof = await remote.prove(delivery, now) if remote and asked.signed and source.fetches else None
        answered = source.answer(asked, delivery, self._keys[source.name].get(), now, proof)
        if answered.visit and remote:
            await remote.visit(answered.visit)
        return answered

    def _source(self, scope: Scope) -> Source:
        source = self._sources.get(scope["path"][len(PREFIX) :])
        if source is None:
            raise NotFound("source")
        if scope["method"] != "POST" and scope["method"] not in source.methods:
            raise WrongMethod("method")
        return source

    def _guard(
        self, headers: Iterable[tuple[bytes, bytes]], gzip: bool, limit: int, echo: list[tuple[bytes, bytes]]
    ) -> None:
        """Raises Rejected for what need not be read. echo: gets the headers that go back."""
        for name, value in headers:
            if name not in GUARDED:
                continue
            if name in ECHOED and len(value) <= MAX_ECHO_BYTES:
                echo.append((name, value))
            if name == b"content-encoding" and value.strip().lower() not in (GZIP if gzip else PLAIN):
                raise WrongEncoding("encoding")
            if name == b"content-length" and (len(value) > 15 or not value.isdigit() or int(value) > limit):
                raise TooLarge("size")

    async def _body(self, receive: Receive, limit: int) -> bytes:
        """The whole body. Raises Rejected: it is too large, or our server gave up waiting for its end."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part: bytes = message.get("body", b"")
            if len(body) + len(part) > limit:
                raise TooLarge("size")
            if not message.get("more_body"):
                return bytes(body + part) if body else part
            body += part


def build_url(source: Source, scope: Scope) -> str:
    """The URL as the provider called it. Only the operator knows what comes before the query (`public_url`)."""
    query: bytes = scope["query_string"]
    return f"{source.public_url}?{query.decode('latin-1')}" if query else source.public_url
