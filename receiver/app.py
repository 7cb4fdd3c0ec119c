"""The ASGI endpoint: `uvicorn receiver.app:create_app --factory`, or better `zyra-receiver serve`, which drains."""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator

from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from . import settings as environment
from .contract.keys import Keys
from .errors import NotFound, Rejected, TooLarge, TooSlow, Unavailable, WrongEncoding, WrongMethod, WrongUpgrade
from .inbox import Inbox, connect
from .metrics import Metrics
from .settings import Settings
from .signatures import Delivery
from .sources import Source
from .watch import Watch

log = logging.getLogger(__name__)
DEADLINE = 10.0  # seconds until a request must be complete
RETRY_AFTER = (5, 15)  # seconds, drawn anew for every 503 so that senders do not come back together


class Disconnected(Exception):
    """The sender left before its request was complete."""


class Endpoint:
    """POST /webhooks/{source}: one delivery in, one answer of the table out."""

    def __init__(self, settings: Settings, inbox: Inbox, watch: Watch, metrics: Metrics) -> None:
        self._sources = settings.sources
        self._limit = settings.max_body_bytes
        self._inbox = inbox
        self._watch = watch
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            source, delivery = await self._receive(scope, receive)
            started = time.perf_counter()
            status, body = await self._accept(source, delivery)
            self._metrics.ack.observe(time.perf_counter() - started)
            await answer(send, status, body)
        except Rejected as rejected:
            self._count(rejected)
            await refuse(send, rejected)
        except Disconnected:
            self._metrics.disconnects.inc()
        except asyncio.CancelledError:  # the server ends, and this request took too long for that
            await refuse(send, Unavailable("shutdown"))

    async def _receive(self, scope: Scope, receive: Receive) -> tuple[Source, Delivery]:
        source = self._sources.get(scope["path_params"]["source"])
        if source is None:
            raise NotFound("source")
        if scope["method"] != "POST":
            raise WrongMethod("method")
        headers = scope["headers"]
        for name, value in headers:
            if name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise WrongEncoding("encoding")
            if name == b"content-length" and (len(value) > 15 or not value.isdigit() or int(value) > self._limit):
                raise TooLarge("size")
            if name == b"upgrade":  # the parser then gives no body, and a good signature would seem wrong
                raise WrongUpgrade("upgrade")
        try:
            async with asyncio.timeout(DEADLINE):
                return source, Delivery(headers, await self._body(receive))
        except TimeoutError:
            raise TooSlow("deadline") from None

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

    async def _accept(self, source: Source, delivery: Delivery) -> tuple[int, dict[str, str]]:
        accepted = source.accept(delivery, time.time())
        if self._watch.full:
            raise Unavailable("memory")
        receipt = await self._inbox.accept(accepted)
        if receipt.duplicate:
            self._metrics.duplicates.labels(source.name).inc()
            return source.success_status, {"id": receipt.id, "status": "duplicate"}
        self._metrics.accepted.labels(source.name).inc()
        return source.success_status, {"id": receipt.id, "status": "accepted"}

    def _count(self, rejected: Rejected) -> None:
        if isinstance(rejected, Unavailable):
            self._metrics.unavailable.labels(rejected.cause).inc()
        else:
            self._metrics.refused.labels(str(rejected.status), rejected.cause).inc()


async def refuse(send: Send, rejected: Rejected) -> None:
    headers = []
    if rejected.closes:
        headers.append((b"connection", b"close"))
    if isinstance(rejected, WrongMethod):
        headers.append((b"allow", b"POST"))
    if isinstance(rejected, Unavailable):
        headers.append((b"retry-after", str(random.randint(*RETRY_AFTER)).encode()))  # noqa: S311 - no secret
    await answer(send, rejected.status, {"error": rejected.error}, headers)


async def answer(send: Send, status: int, body: dict[str, str], more: list[tuple[bytes, bytes]] | None = None) -> None:
    text = b"" if status == 204 else json.dumps(body).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode()), *(more or [])]
    start: Message = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": text})


def create_app(settings: Settings | None = None, registry: CollectorRegistry = REGISTRY) -> Starlette:
    """The receiver as an ASGI application. Without settings the environment is read; raises ConfigurationError."""
    found = settings or environment.read()
    client = connect(found.redis_url)
    keys = Keys(found.queue, found.rq_prefix)
    watch = Watch(connect(found.redis_url), found.durability, found.replicas)
    metrics = Metrics(registry)
    inbox = Inbox(
        client, keys, found.seal, max_pending=found.max_pending, durability=found.durability, replicas=found.replicas
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await watch.look()
        watching = asyncio.create_task(watch_forever(watch, metrics))
        yield
        watching.cancel()
        await client.aclose()
        await watch.client.aclose()

    routes = [
        Route("/webhooks/{source}", Endpoint(found, inbox, watch, metrics)),
        Route("/livez", live),
        Route("/readyz", ready),
        Route("/healthz", healthy),
    ]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: as_json})
    app.router.redirect_slashes = False  # providers count a redirect as a failure
    app.state.watch = watch
    app.state.drain_seconds = found.drain_seconds
    return app


async def watch_forever(watch: Watch, metrics: Metrics) -> None:
    while True:
        metrics.redis_up.set(watch.reachable)
        metrics.redis_hides.set(len(watch.verdict.hidden))
        await asyncio.sleep(1)
        await watch.look()


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
