"""The ASGI endpoint: `uvicorn receiver.app:create_app --factory`, or better `zyra-receiver serve`, which drains."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from . import config
from . import settings as environment
from .contract import memory
from .contract.connection import connect as connect_blocking
from .contract.sentry import open_sentry
from .contract.tracing import open_tracing
from .delivery_log import DeliveryLog
from .endpoint import PREFIX, Endpoint
from .heartbeat import Heartbeat
from .inbox import Inbox
from .metrics import Metrics
from .notices import Notices
from .readiness import Watch
from .redis_connections import connect
from .remote.fetcher import Fetcher
from .remote.keys import RemoteKeys
from .reports import Reports
from .server.bodies import DEFAULT_BUDGET_BYTES, BodyBudget
from .server.connections import STATE, Connections, limit_connections
from .settings import Settings
from .source_keys import SourceKeys

log = logging.getLogger(__name__)


class Receiver(Starlette):
    """Starlette; deliveries bypass its routing and middleware, which cost as much as verifying a signature."""

    endpoint: Endpoint
    serve: ASGIApp  # the endpoint, traced or not

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            await self.serve(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings | None = None, registry: CollectorRegistry = REGISTRY, fetcher: Fetcher | None = None
) -> Receiver:
    """The receiver as an ASGI application. Without settings the environment is read; raises ConfigurationError."""
    memory.forbid_core_dumps()
    active = settings or environment.read()
    keys = active.keys
    client = connect(active.redis_url, keys.tag)
    watch = Watch(connect(active.redis_url, keys.tag), keys, active.durability, active.replicas, active.max_pending)
    metrics = Metrics(registry)
    source_keys = {
        source.name: SourceKeys(source.name, source.scheme, source.secrets) for source in active.sources.values()
    }
    notices = Notices(watch.client, keys, active.seal, active.sources, source_keys)
    tracing, sentry = open_tracing("receiver"), open_sentry("receiver")
    reports = Reports(watch.client, keys, active.sources)
    for source in active.sources.values():
        for secret in source.secrets:
            if secret.has_comma:
                log.warning("source %s: %s holds a comma, and is one secret: see `check`", source.name, secret.name)
        if source.scheme.is_confirmed or source.scheme.confidence == config.OWN:
            continue
        if source.scheme.verifies:
            unknown = ", ".join(source.scheme.missing_answers)
            log.warning("source %s: no source confirms %s of %s", source.name, unknown, source.scheme.title)
        else:
            log.warning("source %s: its scheme, %s, is not confirmed", source.name, source.scheme.title)
    delivery_log = DeliveryLog(active.log_deliveries, active.trusted_proxies)
    inbox = Inbox(
        client,
        keys,
        active.seal,
        max_pending=active.max_pending,
        durability=active.durability,
        replicas=active.replicas,
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        largest = max([active.max_body_bytes, *(source.max_body for source in active.sources.values())])
        budget = BodyBudget(max(active.body_budget_bytes or DEFAULT_BUDGET_BYTES, 2 * largest))
        connections = Connections(limit_connections(active.max_connections), budget, largest)
        await watch.look()
        tasks = [asyncio.create_task(watch_forever(watch, metrics, notices, reports, connections))]
        if active.heartbeat_url:
            heartbeat = Heartbeat(active.heartbeat_url, connect_blocking(active.redis_url, keys.tag), keys, watch)
            tasks.append(asyncio.create_task(heartbeat.beat_forever()))
        memory.settle()
        for source in active.sources.values():
            metrics.note_source(source.name, source.scheme.title, source.scheme.retries)
        yield {STATE: connections}
        delivery_log.flush()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with asyncio.timeout(1):
                await reports.leave()
        for telemetry in (tracing, sentry):
            if telemetry:
                await asyncio.to_thread(telemetry.flush)
        await client.aclose()
        await watch.client.aclose()

    routes = [
        Route("/livez", answer_livez),
        Route("/readyz", answer_readyz),
        Route("/healthz", answer_healthz),
    ]
    app = Receiver(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: render_error})
    fetching = fetcher or Fetcher()
    remote = {
        source.name: RemoteKeys(source.name, source.scheme, source.scheme.remote, fetching, source.credential)
        for source in active.sources.values()
        if source.scheme.remote
    }
    app.endpoint = Endpoint(
        active.sources,
        source_keys,
        inbox,
        watch,
        metrics,
        notices,
        reports,
        remote,
        active.max_body_bytes,
        delivery_log,
    )
    app.serve = partial(app.endpoint.serve_traced, tracing) if tracing else app.endpoint
    app.router.redirect_slashes = False  # providers count a redirect as a failure
    app.state.watch = watch
    app.state.drain_seconds = active.drain_seconds
    return app


async def watch_forever(
    watch: Watch, metrics: Metrics, notices: Notices, reports: Reports, connections: Connections
) -> None:
    trim = memory.Trimmer()
    while True:
        metrics.look_at(connections)
        trim(time.monotonic())
        metrics.redis_up.set(watch.reachable)
        metrics.accepting.set(not (watch.refusal or watch.outage.find_recent_reason()))
        metrics.redis_hides.set(len(watch.verdict.hidden))
        await asyncio.sleep(1)
        await watch.look()
        if watch.reachable:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(2):
                    await notices.publish()
                    await reports.publish(watch.refusal)


async def answer_livez(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def answer_readyz(request: Request) -> Response:
    return report(request.app.state.watch.unready)


async def answer_healthz(request: Request) -> Response:
    watch = request.app.state.watch
    return report(watch.unhealthy, redis=watch.mode)


def report(reasons: list[str], **facts: str) -> Response:
    if reasons:
        return JSONResponse({"status": "unavailable", "reasons": reasons, **facts}, 503)
    return JSONResponse({"status": "ok", **facts})


async def render_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail.lower()}, error.status_code, headers=error.headers)
