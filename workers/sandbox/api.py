"""The sandbox's HTTP API: every row of the route table, with keys, roles, limits and envelopes of its own.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import contextlib
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ..zyra.routes import Kind, table
from ..zyra.routes import Route as Row
from .answers import Answers
from .chaos import Chaos, Troubled
from .desk import Asked, File, Page, Refusal
from .shapes import Shape, invalid, listed
from .specification import document
from .state import State, moment
from .webhooks import Webhooks

LIMITS = {"create": 5, "read": 30, "bulk": 100}  # a minute and endpoint, as SlowAPI counts
OPEN = ("auth.login", "auth.refresh", "auth.reset_password", "auth.sso", "sso.metadata")  # without a key


class Api:
    def __init__(
        self, state: State, webhooks: Webhooks, limits: Mapping[str, int], minute: float, shape: Shape
    ) -> None:
        self.state = state
        self.shape = shape
        self.webhooks = webhooks
        self.answers = Answers(state, webhooks)
        self.limits = limits
        self.minute = minute
        self._calls: dict[tuple[str, str], deque[float]] = {}

    def routes(self) -> list[Route]:
        found = [self._route(row) for row in table().values()]
        found.sort(key=lambda route: "{" in route.path)  # what is written out goes before what fits any name
        own = [
            Route("/openapi.json", self.specification),
            Route("/sandbox/state", self.told),
            Route("/sandbox/trigger", self.trigger, methods=["POST"]),
        ]
        return [*found, *own]

    def _route(self, row: Row) -> Route:
        act = self.answers.find(row.name)

        async def endpoint(request: Request) -> Response:
            request_id = f"req_{secrets.token_hex(6)}"
            try:
                user = self._authorize(request, row)
                self._spend(row, user)
                ids = tuple(request.path_params[name] for name in row.parameters)
                asked = Asked(row.name, ids, request.query_params, await fields(request, row), user)
                self.answers.allow(asked)
                answer = self._answered(request_id, row, asked, await act(asked))
            except Refusal as refusal:
                answer = refused(request_id, row, refusal, self.shape)
            except ClientDisconnect:  # nothing was done
                return Response(status_code=400)
            self.state.log.append(
                {
                    "at": time.time(),
                    "method": row.method,
                    "path": request.url.path,
                    "limit": row.limit.value,
                    "status": answer.status_code,
                }
            )
            return answer

        return Route(row.path, endpoint, methods=[row.method], name=row.name)

    def _authorize(self, request: Request, row: Row) -> str:
        """The user whose key or token it is."""
        if row.name in OPEN:
            return ""
        word, _, given = request.headers.get("authorization", "").partition(" ")
        if row.is_scim:
            if word != "Bearer" or not secrets.compare_digest(given.encode(), self.state.scim_token.encode()):
                raise Refusal(401, "unauthorized", "SCIM wants a bearer token of its own")
            return ""
        user = self.state.who(given) if word == "Bearer" else None
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

    def _answered(self, request_id: str, row: Row, asked: Asked, found: Any) -> Response:
        if isinstance(found, File):
            return Response(found.content, media_type=found.kind)
        if row.answer is Kind.NOTHING:
            return Response(status_code=204)
        if row.is_scim:
            return JSONResponse(scim(found, asked) if isinstance(found, Page) else found)
        meta = {"request_id": request_id, "timestamp": moment()}
        if isinstance(found, Page):
            return JSONResponse(listed(self.shape, found.items, found.total, meta))
        return JSONResponse({"success": True, "data": found, "meta": meta})

    async def specification(self, request: Request) -> Response:
        return JSONResponse(document(table()))

    async def trigger(self, request: Request) -> Response:
        """Tells an event as if it had happened: {"type": ..., "data": {...}}."""
        try:
            body = json.loads(await request.body())
            kind, data = str(body["type"]), dict(body.get("data") or {})
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "the body must be an object with type, and data"}, 422)
        return JSONResponse({"endpoints": self.webhooks.tell(kind, data)})

    async def told(self, request: Request) -> Response:
        """The whole state, for tests and the curious."""
        return JSONResponse({"areas": self.state.areas, "sso": self.state.sso, "calls": list(self.state.log)})


def scim(found: Page, asked: Asked) -> dict[str, Any]:
    """RFC 7644, 3.4.2"""
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": found.total,
        "startIndex": int(asked.query.get("startIndex", "1")),
        "itemsPerPage": len(found.items),
        "Resources": found.items,
    }


def refused(request_id: str, row: Row | None, refusal: Refusal, shape: Shape) -> Response:
    if refusal.code == "slowapi":
        return JSONResponse({"error": refusal.message}, refusal.status, headers=refusal.headers)
    if row and row.is_scim:
        schemas = ["urn:ietf:params:scim:api:messages:2.0:Error"]
        return JSONResponse(
            {"schemas": schemas, "status": str(refusal.status), "detail": refusal.message}, refusal.status
        )
    if refusal.status == 422 and shape.errors == "stock":
        return JSONResponse(invalid(refusal.message), 422)
    block = {"code": refusal.code, "message": refusal.message, "details": None, "request_id": request_id}
    return JSONResponse({"success": False, "error": block}, refusal.status, headers=refusal.headers)


async def fields(request: Request, row: Row) -> dict[str, Any]:
    """The body's fields, where the call has any."""
    raw = await request.body()
    if not row.changes or (not raw and not row.fields):
        return {}
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict) or any(name not in body for name in row.fields):
        raise Refusal(422, "invalid", f"the body must be an object with {', '.join(row.fields) or 'fields'}")
    return body


def create_app(
    state: State,
    limits: dict[str, int] | None = None,
    minute: float = 60.0,
    shape: Shape | None = None,
    chaos: Chaos | None = None,
) -> Starlette:
    http = httpx2.AsyncClient(timeout=10, follow_redirects=False, trust_env=False)
    how, trouble = shape or Shape(), chaos or Chaos()
    api = Api(state, Webhooks(state, http, how, trouble), {**LIMITS, **(limits or {})}, minute, how)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()

    async def missing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return refused("req_none", None, Refusal(error.status_code, "not_found", error.detail), how)

    app = Starlette(
        routes=api.routes(),
        lifespan=lifespan,
        exception_handlers={HTTPException: missing},
        middleware=[Middleware(Troubled, trouble)] if trouble.kinds else [],
    )
    app.state.api = api
    return app
