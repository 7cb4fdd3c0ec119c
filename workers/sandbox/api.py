"""The sandbox's HTTP API. https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli"""

import asyncio
import contextlib
import hmac
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .state import MOST_ENDPOINTS, Row, State
from .webhooks import Webhooks

LIMITS = {"create": 5, "read": 30, "action": 30}  # a minute and an endpoint; what start and stop count as is not known
BOOT = 0.2  # seconds until a started server runs

Answer = Callable[[Request], Awaitable[Any]]


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers
        super().__init__(message)


class Api:
    def __init__(self, state: State, webhooks: Webhooks, limits: dict[str, int]) -> None:
        self.state = state
        self.webhooks = webhooks
        self.limits = limits
        self._calls: dict[str, deque[float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        servers, v1 = "/virtual-servers", self._route
        return [
            v1("GET", "/devices", "read", lambda r: self.list(r, self.state.devices)),
            v1("GET", "/devices/{id}", "read", lambda r: self.one(r, self.state.devices)),
            v1("POST", "/devices/{id}/approve", "action", self.approve),
            v1("DELETE", "/devices/{id}", "action", self.remove),
            v1("GET", servers, "read", lambda r: self.list(r, self.state.servers)),
            v1("POST", servers, "create", self.create_server),
            v1("GET", servers + "/{id}", "read", lambda r: self.one(r, self.state.servers)),
            v1("POST", servers + "/{id}/start", "action", self.start),
            v1("POST", servers + "/{id}/stop", "action", self.stop),
            v1("POST", servers + "/{id}/resize", "action", self.resize),
            v1("DELETE", servers + "/{id}", "action", self.terminate),
            v1("GET", "/invoices", "read", lambda r: self.list(r, self.state.invoices)),
            v1("GET", "/invoices/{id}", "read", lambda r: self.one(r, self.state.invoices)),
            v1("GET", "/webhooks/endpoints", "read", lambda r: self.list(r, self.public_endpoints())),
            v1("POST", "/webhooks/endpoints", "create", self.create_endpoint),
            v1("GET", "/webhooks/endpoints/{id}", "read", lambda r: self.one(r, self.public_endpoints())),
            v1("DELETE", "/webhooks/endpoints/{id}", "action", self.delete_endpoint),
        ]

    def _route(self, method: str, path: str, limit: str, answer: Answer) -> Route:
        async def endpoint(request: Request) -> Response:
            request_id = f"req_{secrets.token_hex(6)}"
            try:
                self._authorize(request)
                self._spend(f"{method} {path}", self.limits[limit])
                return envelope(request_id, await answer(request))
            except Refusal as refusal:
                return refused(request_id, refusal)

        return Route("/api/v1" + path, endpoint, methods=[method])

    def _authorize(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.state.api_key}".encode()):
            raise Refusal(401, "unauthorized", "the Bearer prefix is missing, or the key is unknown")

    def _spend(self, what: str, limit: int) -> None:
        now, calls = time.monotonic(), self._calls.setdefault(what, deque())
        while calls and calls[0] <= now - 60:
            calls.popleft()
        if len(calls) >= limit:
            wait = str(int(calls[0] + 60 - now) + 1)
            raise Refusal(429, "rate_limited", f"more than {limit} calls a minute", {"retry-after": wait})
        calls.append(now)

    # --- answers

    async def list(self, request: Request, rows: dict[str, Row]) -> Any:
        offset, limit = whole(request, "offset", 0), min(whole(request, "limit", 50), 200)
        status = request.query_params.get("status")
        found = [row for row in rows.values() if status in (None, row.get("status"))]
        return Page(found[offset : offset + limit], len(found))

    async def one(self, request: Request, rows: dict[str, Row]) -> Row:
        row = rows.get(request.path_params["id"])
        if row is None:
            raise Refusal(404, "not_found", f"there is no {request.path_params['id']}")
        return row

    async def approve(self, request: Request) -> Row:
        device = await self.one(request, self.state.devices)
        if device["status"] != "pending":
            raise Refusal(409, "conflict", f"the device is {device['status']}")
        return self._becomes(device, "online", "device.approved")

    async def remove(self, request: Request) -> Row:
        device = await self.one(request, self.state.devices)
        del self.state.devices[device["id"]]
        return self._becomes(device, "removed", "device.removed")

    async def create_server(self, request: Request) -> Row:
        body = await fields(request, "name")
        self.state.made += 1
        name = f"vs_{self.state.made:04d}"
        self.state.servers[name] = {
            "id": name,
            "vcpus": 1,
            "memory_mb": 1024,
            "gpu": 0,
            "cost_per_hour": "0.10",
            **body,
        }
        return self._becomes(self.state.servers[name], "running", "virtual_server.created")

    async def start(self, request: Request) -> Row:
        server = await self.one(request, self.state.servers)
        if server["status"] == "running":
            raise Refusal(409, "conflict", "the server is running")
        server["status"] = "starting"
        task = asyncio.create_task(self._boot(server))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return server

    async def _boot(self, server: Row) -> None:
        await asyncio.sleep(BOOT)
        self._becomes(server, "running", "virtual_server.started")

    async def stop(self, request: Request) -> Row:
        server = await self.one(request, self.state.servers)
        if server["status"] in ("stopped", "terminated"):
            raise Refusal(409, "conflict", f"the server is {server['status']}")
        return self._becomes(server, "stopped", "virtual_server.stopped")

    async def resize(self, request: Request) -> Row:
        server = await self.one(request, self.state.servers)
        server.update(await fields(request))
        return server

    async def terminate(self, request: Request) -> Row:
        return self._becomes(await self.one(request, self.state.servers), "terminated", "virtual_server.terminated")

    def _becomes(self, row: Row, status: str, kind: str) -> Row:
        row["status"] = status
        self.webhooks.tell(kind, dict(row))
        return row

    def public_endpoints(self) -> dict[str, Row]:
        """The endpoints without their secrets, which are told once only."""
        return {n: {k: v for k, v in row.items() if k != "secret"} for n, row in self.state.endpoints.items()}

    async def create_endpoint(self, request: Request) -> Row:
        body = await fields(request, "url", "events")
        if not str(body["url"]).startswith(("https://", "http://127.0.0.1")):
            raise Refusal(422, "invalid", "url must be https")
        if len(self.state.endpoints) >= MOST_ENDPOINTS:
            raise Refusal(409, "conflict", f"an organization has at most {MOST_ENDPOINTS} endpoints")
        return self.state.add_endpoint(str(body["url"]), list(body["events"]), str(body.get("description", "")))

    async def delete_endpoint(self, request: Request) -> Row:
        row = await self.one(request, self.public_endpoints())
        del self.state.endpoints[row["id"]]
        self.state.save()
        return row


class Page:
    def __init__(self, items: list[Row], total: int) -> None:
        self.items, self.total = items, total


def envelope(request_id: str, data: Any) -> Response:
    meta: Row = {"request_id": request_id, "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
    if isinstance(data, Page):
        meta["total"], data = data.total, data.items
    return JSONResponse({"success": True, "data": data, "meta": meta})


def refused(request_id: str, refusal: Refusal) -> Response:
    block = {"code": refusal.code, "message": refusal.message, "details": None, "request_id": request_id}
    return JSONResponse({"success": False, "error": block}, refusal.status, headers=refusal.headers)


def whole(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal():
        raise Refusal(422, "invalid", f"{name} must be a whole number")
    return int(text)


async def fields(request: Request, *needed: str) -> Row:
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    if not isinstance(body, dict) or any(name not in body for name in needed):
        raise Refusal(422, "invalid", f"the body must be an object with {', '.join(needed) or 'fields'}")
    return body


def create_app(state: State, limits: dict[str, int] | None = None) -> Starlette:
    http = httpx2.AsyncClient(timeout=10, follow_redirects=False, trust_env=False)
    api = Api(state, Webhooks(state, http), {**LIMITS, **(limits or {})})

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()

    async def missing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refused("req_none", Refusal(error.status_code, "not_found", error.detail))

    app = Starlette(routes=api.routes(), lifespan=lifespan, exception_handlers={HTTPException: missing})
    app.state.api = api
    return app
