"""Trouble on purpose, from one seed: webhooks that come twice, late, in another order or never; answers that fail.

Of webhooks: dup, reorder, late, drop, and rewrite (a retry with other bytes of the same event). Of the API: slow,
fail-before and fail-after (a 500 before or after the call has happened), cut (off in the middle), html (a login page).
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Message, Receive, Scope, Send

WEBHOOKS = ("dup", "reorder", "late", "drop", "rewrite")
ANSWERS = ("slow", "fail-before", "fail-after", "cut", "html")
FAULT_SHARE = 0.2  # of all webhooks or answers, for each kind
LATE_SECONDS = 3.0
REORDER_SECONDS = 0.5  # by which the order of webhooks changes
HTML = b"<html><title>Sign in</title></html>"


@dataclass(slots=True)
class Chaos:
    """kinds: what may happen."""

    kinds: frozenset[str] = frozenset()
    seed: int = 0
    often: float = FAULT_SHARE
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)  # noqa: S311 - no secret

    def strikes(self, kind: str) -> bool:
        return kind in self.kinds and self.draw.random() < self.often

    def draw_delays(self) -> list[float]:
        """How often a webhook is delivered, and after how many seconds each time."""
        if self.strikes("drop"):
            return []
        first = (
            LATE_SECONDS
            if self.strikes("late")
            else self.draw.uniform(0, REORDER_SECONDS)
            if self.strikes("reorder")
            else 0.0
        )
        return [first, self.draw.uniform(0, REORDER_SECONDS)] if self.strikes("dup") else [first]

    def answer(self) -> str:
        """What goes wrong with an answer, or ""."""
        return next((kind for kind in ANSWERS if self.strikes(kind)), "")


def parse_chaos(kinds: str, seed: int) -> Chaos:
    """Raises ValueError for kinds that are none."""
    wanted = frozenset(kind.strip() for kind in kinds.split(",") if kind.strip())
    if unknown := sorted(wanted - {*WEBHOOKS, *ANSWERS}):
        raise ValueError(f"there is no {', '.join(unknown)}: {', '.join((*WEBHOOKS, *ANSWERS))}")
    return Chaos(wanted, seed)


class FaultyApp:
    """The API with troubled answers; what is there to look at the sandbox itself stays well."""

    def __init__(self, app: ASGIApp, chaos: Chaos) -> None:
        self._app = app
        self._chaos = chaos

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        what = self._chaos.answer() if scope["type"] == "http" and not path.startswith(("/sandbox", "/openapi")) else ""
        if what == "slow":
            await asyncio.sleep(self._chaos.draw.uniform(0, LATE_SECONDS))
        if what in ("fail-before", "html"):
            await send_plain(send, *((500, b"oops") if what == "fail-before" else (200, HTML)))
            return
        if what not in ("fail-after", "cut"):
            await self._app(scope, receive, send)
            return
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        if what == "fail-after":
            await send_plain(send, 500, b"oops")
            return
        body = b"".join(message.get("body", b"") for message in messages)
        await send(messages[0])
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        # nothing more: the server closes the connection


async def send_plain(send: Send, status: int, body: bytes) -> None:
    headers: Sequence[tuple[bytes, bytes]] = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
