"""The ASGI endpoint: `uvicorn receiver.app:create_app --factory`, or better `zyra-receiver serve`, which drains."""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable

from prometheus_client import REGISTRY, CollectorRegistry
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import config
from . import settings as environment
from .contract import memory
from .contract.keys import Keys
from .delivery import Delivery, inflate
from .errors import (
    BadSignature,
    NotFound,
    Rejected,
    TooLarge,
    TooSlow,
    Unavailable,
    WrongEncoding,
    WrongMethod,
    WrongUpgrade,
)
from .handshakes import Answer
from .inbox import Inbox, Receipt, connect
from .metrics import Metrics
from .notices import Notices
from .patience import within
from .settings import Settings
from .sources import Source
from .watch import Watch

log = logging.getLogger(__name__)
DEADLINE = 10.0  # seconds until a request must be complete
PREFIX = "/webhooks/"
PLAIN = (b"", b"identity")
GZIP = (*PLAIN, b"gzip")
GUARDED = frozenset((b"content-encoding", b"content-length", b"upgrade"))
RETRY_AFTER = (5, 15)  # seconds, drawn anew for every 503 so that senders do not come back together


class Disconnected(Exception):
    """The sender left before its request was complete."""


class Endpoint:
    """POST /webhooks/{source}: one delivery in, one answer of the table out."""

    def __init__(self, settings: Settings, inbox: Inbox, watch: Watch, metrics: Metrics, notices: Notices) -> None:
        self._sources = settings.sources
        self._limit = settings.max_body_bytes
        self._inbox = inbox
        self._watch = watch
        self._metrics = metrics
        self._notices = notices

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            source = self._source(scope)
            headers = scope["headers"]
            self._guard(headers, source.scheme.gzip != "")
            try:
                body = await within(DEADLINE, self._body(receive))
            except TimeoutError:
                raise TooSlow("deadline") from None
            started = time.perf_counter()
            delivery = Delivery(scope["headers"], body, scope["method"], called(source, scope))
            if source.scheme.gzip and delivery.text(b"content-encoding") == "gzip":
                delivery.body = inflate(body, self._limit)
            if source.scheme.handshakes and (answered := source.handshake(delivery, time.time())):
                self._metrics.handshake(source.name)
                await reply(send, answered)
                return
            if delivery.method != "POST":
                raise WrongMethod("method")
            accepted = source.accept(delivery, time.time())
            if self._watch.full:
                raise Unavailable("memory")
            receipt = await self._inbox.accept(accepted)
            self._metrics.accept(source.name, receipt.duplicate, time.perf_counter() - started)
            await answer(send, source.success_status, source.scheme.success_body.encode() or told(receipt))
        except BadSignature as rejected:
            self._metrics.reject(rejected)
            self._notices.refused(source, delivery, rejected.cause)
            await refuse(send, rejected, source.scheme.failure_status)
        except Rejected as rejected:
            self._metrics.reject(rejected)
            await refuse(send, rejected)
        except Disconnected:
            self._metrics.disconnects.inc()
        except asyncio.CancelledError:  # the server ends, and this request took too long for that
            await refuse(send, Unavailable("shutdown"))

    def _source(self, scope: Scope) -> Source:
        source = self._sources.get(scope["path"][len(PREFIX) :])
        if source is None:
            raise NotFound("source")
        if scope["method"] != "POST" and scope["method"] not in source.methods:
            raise WrongMethod("method")
        return source

    def _guard(self, headers: Iterable[tuple[bytes, bytes]], gzip: bool) -> None:
        for name, value in headers:
            if name not in GUARDED:
                continue
            if name == b"content-encoding" and value.strip().lower() not in (GZIP if gzip else PLAIN):
                raise WrongEncoding("encoding")
            if name == b"content-length" and (len(value) > 15 or not value.isdigit() or int(value) > self._limit):
                raise TooLarge("size")
            if name == b"upgrade":  # the parser then gives no body, and a good signature would seem wrong
                raise WrongUpgrade("upgrade")

    async def _body(self, receive: Receive) -> bytes:
        chunks, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                raise TooLarge("size")
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)


def called(source: Source, scope: Scope) -> str:
    """The URL as the provider called it: what stands before the query is known to the operator alone."""
    query: bytes = scope["query_string"]
    return f"{source.public_url}?{query.decode('latin-1')}" if query else source.public_url


class Receiver(Starlette):
    """Starlette, which a delivery goes past: its routing and its middleware cost as much as a signature."""

    endpoint: Endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self.endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def told(receipt: Receipt) -> bytes:
    return b'{"id": "%b", "status": "%b"}' % (receipt.id.encode(), b"duplicate" if receipt.duplicate else b"accepted")


async def reply(send: Send, answered: Answer) -> None:
    """The answer to a handshake, which is nothing but what the provider wants to read."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answered.headers]
    headers.append((b"content-length", b"%d" % len(answered.body)))
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


async def refuse(send: Send, rejected: Rejected, status: int = 0) -> None:
    headers = []
    if rejected.closes:
        headers.append((b"connection", b"close"))
    if isinstance(rejected, WrongMethod):
        headers.append((b"allow", b"POST"))
    if isinstance(rejected, Unavailable):
        headers.append((b"retry-after", str(random.randint(*RETRY_AFTER)).encode()))  # noqa: S311 - no secret
    await answer(send, status or rejected.status, json.dumps({"error": rejected.error}).encode(), headers)


async def answer(send: Send, status: int, body: bytes, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    text = b"" if status == 204 else body
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def create_app(settings: Settings | None = None, registry: CollectorRegistry = REGISTRY) -> Receiver:
    """The receiver as an ASGI application. Without settings the environment is read; raises ConfigurationError."""
    found = settings or environment.read()
    client = connect(found.redis_url)
    keys = Keys(found.queue, found.rq_prefix)
    watch = Watch(connect(found.redis_url), found.durability, found.replicas)
    metrics = Metrics(registry)
    notices = Notices(watch.client, keys, found.seal, found.sources)
    for source in found.sources.values():
        if not source.scheme.confirmed and source.scheme.confidence != config.OWN:
            log.warning("source %s: its scheme, %s, is not confirmed", source.name, source.scheme.title)
    inbox = Inbox(
        client, keys, found.seal, max_pending=found.max_pending, durability=found.durability, replicas=found.replicas
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await watch.look()
        watching = asyncio.create_task(watch_forever(watch, metrics, notices))
        memory.settle()
        yield
        watching.cancel()
        await client.aclose()
        await watch.client.aclose()

    routes = [
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/healthz", healthy),
    ]
    app = Receiver(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: as_json})
    app.endpoint = Endpoint(found, inbox, watch, metrics, notices)
    app.router.redirect_slashes = False  # providers count a redirect as a failure
    app.state.watch = watch
    app.state.drain_seconds = found.drain_seconds
    return app


async def watch_forever(watch: Watch, metrics: Metrics, notices: Notices) -> None:
    while True:
        metrics.redis_up.set(watch.reachable)
        metrics.redis_hides.set(len(watch.verdict.hidden))
        await asyncio.sleep(1)
        await watch.look()
        if watch.reachable:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await notices.publish()


async def live(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def ready(request: Request) -> Response:
    return report(request.app.state.watch.unready)


async def healthy(request: Request) -> Response:
    return report(request.app.state.watch.unhealthy)


def report(reasons: list[str]) -> Response:
    if reasons:
        return JSONResponse({"status": "unavailable", "reasons": reasons}, 503)
    return JSONResponse({"status": "ok"})


async def as_json(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail.lower()}, error.status_code, headers=error.headers)
