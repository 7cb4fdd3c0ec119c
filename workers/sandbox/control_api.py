"""What Zyra does not have: a look at everything, a hand on what happens, and keys without a dashboard.

A control API for those who can read the sandbox's folder: each request shows the token that stands there.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .catalogue import CHANGES
from .request_bodies import Role
from .simulation import Simulation
from .state import CONTROL_TOKEN, MAX_KEYS, State, User
from .webhooks import Webhooks

TOKEN_HEADER = "x-sandbox-token"  # noqa: S105 - its name


class Trigger(msgspec.Struct):
    """tell_only: the webhook alone, as if it came late; nothing changes."""

    type: str
    data: dict[str, Any] = {}
    tell_only: bool = False


class NewKey(msgspec.Struct):
    user: str = ""
    role: Role | Literal[""] = ""


class ControlApi:
    def __init__(self, state: State, webhooks: Webhooks, life: Simulation) -> None:
        self._state = state
        self._webhooks = webhooks
        self._life = life

    def routes(self) -> list[Route]:
        return [
            Route("/sandbox/state", self._guard(self.look)),
            Route("/sandbox/trigger", self._guard(self.trigger), methods=["POST"]),
            Route("/sandbox/keys", self._guard(self.make_key), methods=["POST"]),
            Route("/sandbox/keys/{prefix}", self._guard(self.revoke), methods=["DELETE"]),
        ]

    def _guard(self, serve: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def check_token(request: Request) -> Response:
            shown = request.headers.get(TOKEN_HEADER, "").encode()
            if hmac.compare_digest(shown, self._state.control_token.encode()):
                return await serve(request)
            return JSONResponse({"error": f"show the token of {self._state.folder / CONTROL_TOKEN}"}, 401)

        return check_token

    async def look(self, request: Request) -> Response:
        state = self._state
        keys = [
            {"prefix": key.prefix, "user": key.user, "role": state.find_role(key.user)} for key in state.keys.values()
        ]
        return JSONResponse(
            {"areas": state.areas, "sso": state.sso, "users": [*state.users], "keys": keys, "calls": list(state.log)}
        )

    async def trigger(self, request: Request) -> Response:
        try:
            asked = msgspec.json.decode(await request.body(), type=Trigger)
            if asked.tell_only or asked.type not in CHANGES:  # also types that a catalogue may have one day
                endpoint_count = self._webhooks.tell(asked.type, asked.data)
            else:
                endpoint_count = self._life.trigger(asked.type, asked.data)
        except (ValueError, RecursionError) as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"endpoints": endpoint_count})

    async def make_key(self, request: Request) -> Response:
        """A key of the user, told this once; a user whom nobody knows is made."""
        try:
            wish = msgspec.json.decode(await request.body() or b"{}", type=NewKey)
        except (ValueError, RecursionError) as error:
            return JSONResponse({"error": str(error)}, 422)
        known = self._state.users.get(wish.user)
        if known and wish.role not in ("", known.role):
            return JSONResponse({"error": f"{wish.user} is {known.role}"}, 409)
        if wish.user and not known:
            self._state.users[wish.user] = User(secrets.token_hex(16), wish.role or "org_admin")
        key = f"zyra_sk_{secrets.token_hex(32)}"
        if not self._state.add_key(key, wish.user):
            return JSONResponse({"error": f"a user has at most {MAX_KEYS} active keys"}, 409)
        return JSONResponse({"key": key, "user": wish.user, "role": self._state.find_role(wish.user)})

    async def revoke(self, request: Request) -> Response:
        """By the 18 characters that are shown of it."""
        names = [name for name, key in self._state.keys.items() if key.prefix == request.path_params["prefix"]]
        if not names:
            return JSONResponse({"error": "no active key begins so"}, 404)
        for name in names:
            del self._state.keys[name]
        return JSONResponse({"revoked": len(names)})
