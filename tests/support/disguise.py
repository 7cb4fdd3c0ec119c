"""The sandbox as Zyra may be instead: its documentation shows neither the states nor the form of an id or an answer."""

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.zyra.routes import Route, load_default_routes

OTHER_WORDS = {
    "running": "up",
    "stopped": "halted",
    "terminated": "bye",
    "starting": "waking",
    "stopping": "going down",
}
NUMBER = 70_000_000  # the first id that is a number


class Disguise:
    """Changes the answers of an application. kind: see CHANGES."""

    def __init__(self, app: ASGIApp, kind: str) -> None:
        self._app = app
        self._change = CHANGES[kind]
        self._is_empty = kind == "empty answers"
        self._names: list[str] = []  # ids, by what they are as numbers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = self.find_path(scope["path"])
        if not path:
            raw = scope["raw_path"].decode().replace("/scim/v2", "/v2/directory").replace("/api/v1", "/v2")
            await send({"type": "http.response.start", "status": 308, "headers": [(b"location", raw.encode())]})
            return await send({"type": "http.response.body", "body": b""})
        start: Message = {}
        content = b""

        async def gather(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                start = message
                return
            content += message.get("body", b"")
            if not message.get("more_body"):
                await self._send({**scope, "path": path}, start, content, send)

        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, gather)
        return None

    async def _send(self, scope: Scope, start: Message, content: bytes, send: Send) -> None:
        if self._is_empty and scope["method"] != "GET" and start["status"] < 300:
            content = b""
        elif (b"content-type", b"application/json") in start["headers"]:
            content = json.dumps(self.change(scope, json.loads(content))).encode()
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(content)).encode())]})
        await send({"type": "http.response.body", "body": content})

    def find_path(self, asked: str) -> str:
        """The sandbox's path for the one that was asked for; "" where that is another address."""
        number = rf"(?<=/){str(NUMBER)[:3]}\d{{5}}(?=/|$)"
        return re.sub(number, lambda found: self._names[int(found[0]) - NUMBER], asked)

    def change(self, scope: Scope, document: Any) -> Any:
        return self._walk(document)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._change(self, name, self._walk(one)) for name, one in value.items()}
        return [self._walk(one) for one in value] if isinstance(value, list) else value

    def number(self, name: str, value: Any) -> Any:
        if name != "id" or not isinstance(value, str) or not re.fullmatch(r"(vs|dev|job)_\w+", value):
            return value
        if value not in self._names:
            self._names.append(value)
        return NUMBER + self._names.index(value)


class Elsewhere(Disguise):
    """Other addresses, to which the known ones lead, other names for ids and states, and everything a level deeper."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, "tidy")

    def find_path(self, asked: str) -> str:
        if asked.startswith("/v2/directory/"):
            return asked.replace("/v2/directory", "/scim/v2", 1)
        return asked.replace("/v2", "/api/v1", 1) if asked.startswith("/v2/") else ""

    def change(self, scope: Scope, document: Any) -> Any:
        route = find_route(scope["method"], scope["path"])
        data = document.get("data")
        if isinstance(data, list):
            page = {"total_count": document["meta"].pop("total")}
            return {**document, "data": {"items": [rename(route, row) for row in data], "page": page}}
        if isinstance(data, dict) and "id" in data:
            return {**document, "data": {route.id[-1].removesuffix("_id"): rename(route, data)}}
        return document


def find_route(method: str, path: str) -> Route:
    routes = [route for route in load_default_routes().values() if route.method == method]
    return next(one for one in routes if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(one.path)), path))


def rename(route: Route, row: dict[str, Any]) -> dict[str, Any]:
    names = {"id": route.id[-1], "status": "phase"}
    return {names.get(name, name): value for name, value in row.items()}


CHANGES: dict[str, Callable[[Disguise, str, Any], Any]] = {
    "tidy": lambda self, name, value: value,
    "capitals": lambda self, name, value: str(value).upper() if name == "status" else value,
    "other words": lambda self, name, value: OTHER_WORDS.get(value, value) if name == "status" else value,
    "numbers as ids": lambda self, name, value: self.number(name, value),
    "empty answers": lambda self, name, value: value,
}
