"""The sandbox's HTTP API: every row of the route table, with keys, roles, limits and envelopes of its own.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..zyra.routes import Kind, load_default_routes
from ..zyra.routes import Route as Row
from .calls import Act, ApiCall, File, Page, Refusal
from .chaos import Chaos, FaultyApp
from .control_api import ControlApi
from .openapi import FILES, OPEN, make_document
from .operations import Operations
from .request_bodies import find_body_type
from .shapes import Shape, render_invalid, render_list
from .simulation import Simulation
from .state import State, format_now
from .webhooks import Webhooks

log = logging.getLogger(__name__)
LIMITS = {"create": 5, "read": 30, "bulk": 100}  # a minute and endpoint, as SlowAPI counts


class Api:
    def __init__(self, answers: Operations, limits: Mapping[str, int], minute: float) -> None:
        self.state = answers.state
        self.shape = answers.shape
        self.answers = answers
        self.limits = limits
        self.minute = minute
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def routes(self) -> list[Route]:
        paths: dict[str, list[Row]] = {}
        for row in load_default_routes().values():
            paths.setdefault(row.path, []).append(row)
        routes = [self._route(path, rows) for path, rows in paths.items()]
        routes.sort(key=lambda route: "{" in route.path)  # what is written out goes before what fits any name
        return [*routes, Route("/openapi.json", self.specification)]

    def _route(self, path: str, rows: list[Row]) -> Route:
        """All verbs of a path."""
        acts = {row.method: (row, self.answers.find(row.name)) for row in rows}

        async def endpoint(request: Request) -> Response:
            row, act = acts["GET" if request.method == "HEAD" else request.method]
            try:
                answer = await self._call(request, row, act)
            except ClientDisconnect:  # nothing was done
                return Response(status_code=400)
            entry = {"method": row.method, "path": request.url.path, "limit": row.limit.value}
            self.state.log.append({"at": time.time(), **entry, "status": answer.status_code})
            return answer

        return Route(path, endpoint, methods=list(acts))

    async def _call(self, request: Request, row: Row, act: Act) -> Response:
        request_id = f"req_{secrets.token_hex(6)}"
        try:
            user = self._authorize(request, row)
            self._spend(row, user)
            ids = tuple(request.path_params[name] for name in row.parameters)
            call = ApiCall(row.name, ids, request.query_params, await read_fields(request, row), user)
            self.answers.allow(call)
            return self._answer(request_id, row, call, await act(call))
        except Refusal as refusal:
            return render_refusal(request_id, row.is_scim, refusal, self.shape)

    def _authorize(self, request: Request, row: Row) -> str:
        """The user whose key or token it is."""
        if row.name in OPEN:
            return ""
        word, _, token = request.headers.get("authorization", "").partition(" ")
        if row.is_scim:
            if word != "Bearer" or not secrets.compare_digest(token.encode(), self.state.scim_token.encode()):
                raise Refusal(401, "unauthorized", "SCIM wants a bearer token of its own")
            return ""
        user = self.state.find_user(token) if word == "Bearer" else None
        if user is None:
            raise Refusal(401, "unauthorized", "the Bearer prefix is missing, or the key is unknown")
        return user

    def _spend(self, row: Row, user: str) -> None:
        now, limit = time.monotonic(), self.limits[row.limit]
        calls = self._calls.setdefault((row.name, user), deque())
        while calls and calls[0] <= now - self.minute:
            calls.popleft()
        if len(calls) >= limit:
            self.state.audit("rate_limit_exceeded", user, "endpoint", row.name, False)
            wait = str(int(calls[0] + self.minute - now) + 1)
            raise Refusal(429, "slowapi", f"Rate limit exceeded: {limit} per 1 minute", {"retry-after": wait})
        calls.append(now)

    def _answer(self, request_id: str, row: Row, call: ApiCall, result: Any) -> Response:
        if isinstance(result, File):
            return Response(result.content, media_type=FILES[row.name])
        if row.answer is Kind.NOTHING:
            return Response(status_code=204)
        if row.is_scim:
            return JSONResponse(render_scim(result, call) if isinstance(result, Page) else result)
        meta = {"request_id": request_id, "timestamp": format_now()}
        if isinstance(result, Page):
            return JSONResponse(render_list(self.shape, result.items, result.total, meta))
        return JSONResponse({"success": True, "data": result, "meta": meta})

    async def specification(self, request: Request) -> Response:
        return JSONResponse(make_document(load_default_routes(), self.shape))


def log_end(living: asyncio.Task[None]) -> None:
    if not living.cancelled() and (error := living.exception()):
        log.error("the simulation stopped: no more spontaneous events", exc_info=error)


def render_scim(page: Page, call: ApiCall) -> dict[str, Any]:
    """RFC 7644, 3.4.2"""
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": page.total,
        "startIndex": max(int(call.query.get("startIndex", "1")), 1),
        "itemsPerPage": len(page.items),
        "Resources": page.items,
    }


def render_refusal(request_id: str, is_scim: bool, refusal: Refusal, shape: Shape) -> Response:
    if refusal.code == "slowapi":
        return JSONResponse({"error": refusal.message}, refusal.status, headers=refusal.headers)
    if is_scim:
        schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"]
        body = {"schemas": schemas, "status": str(refusal.status), "detail": refusal.message}
        return JSONResponse(body, refusal.status, headers=refusal.headers)
    if refusal.status == 422 and shape.errors == "stock":
        return JSONResponse(render_invalid(refusal.message), 422)
    block = {"code": refusal.code, "message": refusal.message, "details": None, "request_id": request_id}
    return JSONResponse({"success": False, "error": block}, refusal.status, headers=refusal.headers)


async def read_fields(request: Request, row: Row) -> dict[str, Any]:
    """The body's fields, where the call has any."""
    raw = await request.body()
    if not row.changes or (not raw and not row.fields):
        return {}
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        body = {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in fields.items()}
        msgspec.convert(body, find_body_type(row.name))
        return body
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise Refusal(
            422, "invalid", f"the body is no object with {', '.join(row.fields) or 'fields'}: {error}"
        ) from None


def create_app(
    state: State,
    limits: dict[str, int] | None = None,
    minute: float = 60.0,
    shape: Shape | None = None,
    chaos: Chaos | None = None,
    life: float = 0.0,
    operations: type[Operations] = Operations,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> Starlette:
    """minute: seconds of it; life: how many things a minute happen by chance, drawn from the seed of the chaos.

    transport: what webhooks are posted by; else over the network.
    """
    http = httpx2.AsyncClient(timeout=10, follow_redirects=False, trust_env=False, transport=transport)
    how, trouble = shape or Shape(), chaos or Chaos()
    webhooks = Webhooks(state, http, how, trouble)
    answers = operations(state, webhooks, how)
    api = Api(answers, {**LIMITS, **(limits or {})}, minute)
    lives = Simulation(answers, minute, random.Random(trouble.seed))  # noqa: S311 - no secret

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        living = asyncio.create_task(lives.run(life))
        living.add_done_callback(log_end)
        yield
        living.cancel()
        await http.aclose()

    async def answer_missing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        refusal = Refusal(error.status_code, "not_found", error.detail, dict(error.headers or {}))
        return render_refusal("req_none", request.url.path.startswith("/scim/"), refusal, how)

    app = Starlette(
        routes=[*api.routes(), *ControlApi(state, webhooks, lives).routes()],
        lifespan=lifespan,
        exception_handlers={HTTPException: answer_missing},
        middleware=[Middleware(FaultyApp, trouble)] if trouble.kinds else [],
    )
    app.state.api = api
    return app
