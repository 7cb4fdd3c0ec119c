"""The sandbox as Zyra may be instead: its documentation shows neither the states nor the form of an id or an answer."""

import json
import re
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
        path = re.sub(
            rf"(?<=/){str(NUMBER)[:3]}\d{{5}}(?=/|$)", lambda m: self._names[int(m[0]) - NUMBER], scope["path"]
        )
        start: Message = {}
        content = b""

        async def gather(message: Message) -> None:
            nonlocal start, content
            if message["type"] == "http.response.start":
                start = message
                return
            content += message.get("body", b"")
            if not message.get("more_body"):
                await self._send(scope, start, content, send)

        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, gather)
        return None

    async def _send(self, scope: Scope, start: Message, content: bytes, send: Send) -> None:
        if self._is_empty and scope["method"] != "GET" and start["status"] < 300:
            content = b""
        elif (b"content-type", b"application/json") in start["headers"]:
            content = json.dumps(self._walk(json.loads(content))).encode()
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(content)).encode())]})
        await send({"type": "http.response.body", "body": content})

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


CHANGES: dict[str, Callable[[Disguise, str, Any], Any]] = {
    "tidy": lambda self, name, value: value,
    "capitals": lambda self, name, value: str(value).upper() if name == "status" else value,
    "other words": lambda self, name, value: OTHER_WORDS.get(value, value) if name == "status" else value,
    "numbers as ids": lambda self, name, value: self.number(name, value),
    "empty answers": lambda self, name, value: value,
}
