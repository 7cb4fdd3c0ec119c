"""Sends answers: small bodies, and nothing that helps a forger."""

import json
from collections.abc import Sequence

from starlette.types import Send

from .errors import Rejected, Unavailable, WrongMethod, draw_retry_after
from .handshakes import Answer
from .inbox import Receipt
from .schemes import Scheme

Headers = Sequence[tuple[bytes, bytes]]


def render_success(scheme: Scheme, receipt: Receipt) -> bytes:
    """The body of a success."""
    if scheme.silent or scheme.success_body:
        return scheme.success_body.encode()
    state = f', "state": "{receipt.state}"' if receipt.state else ""
    status = "duplicate" if receipt.duplicate else "accepted"
    return f'{{"id": "{receipt.id}", "status": "{status}"{state}}}'.encode()


async def reply(send: Send, answered: Answer, echo: Headers = ()) -> None:
    """Sends the answer to a handshake. echo: headers of the request that go back."""
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answered.headers]
    headers.extend(echo)
    headers.append((b"content-length", b"%d" % len(answered.body)))
    await send({"type": "http.response.start", "status": answered.status, "headers": headers})
    await send({"type": "http.response.body", "body": answered.body})


async def refuse(send: Send, rejected: Rejected, status: int = 0, silent: bool = False, echo: Headers = ()) -> None:
    headers = [*echo]
    if rejected.closes:
        headers.append((b"connection", b"close"))
    if isinstance(rejected, WrongMethod):
        headers.append((b"allow", b"POST"))
    if isinstance(rejected, Unavailable):
        headers.append((b"retry-after", draw_retry_after()))
    body = b"" if silent else json.dumps({"error": rejected.error}).encode()
    await send_answer(send, status or rejected.status, body, headers)


async def send_answer(send: Send, status: int, body: bytes, more: Headers = ()) -> None:
    """more: headers; where they name no content type, it is JSON."""
    text = b"" if status == 204 else body
    headers = [(b"content-length", b"%d" % len(text)), *more]
    if text and b"content-type" not in dict(more):
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text})
