"""Runs one attempt here and now: no ledger, no lease that ends, no retry. For `zyra-receiver run`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

import msgspec

from ..context import CURRENT, Context, Lease
from ..event import Event
from ..handler import Handler, refuse_unfinished
from ..outgoing import RECORDER, Post
from .attempt import make_timeout_error
from .performer import refuse_unawaited


class LocalCounter:
    """What `allow` asks, of this process alone. clock: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, dict[str, float]] = defaultdict(dict)

    def allow(self, key: str, times: int, seconds: float, who: str = "") -> bool:
        now, seen = self._clock(), self._seen[key]
        for one, at in list(seen.items()):
            if at <= now - seconds:
                del seen[one]
        if who in seen:
            return True
        if len(seen) >= times:
            return False
        seen[who or f"{now} {len(seen)}"] = now
        return True


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended. posts: what `post` would have sent, where that was recorded."""

    error: BaseException | None = None
    seconds: float = 0.0
    posts: tuple[Post, ...] = ()


def run_attempt(
    handler: Handler,
    event: Event,
    client: Any = None,
    *,
    context: Context | None = None,
    records_posts: bool = True,
) -> Ending:
    """Calls the handler as a worker does. client: for the handler's second parameter; it is closed at the end.

    records_posts: whether `workers.post` only records what it would send.
    """
    posts, started = list[Post](), time.monotonic()
    own = context or Context(LocalCounter(), make_endless_lease())
    error = copy_context().run(call, handler, event, client, own, posts if records_posts else None)
    return Ending(error=error, seconds=time.monotonic() - started, posts=tuple(posts))


def make_endless_lease() -> Lease:
    return Lease(time.monotonic(), time.monotonic)


def call(
    handler: Handler, event: Event, client: Any, context: Context, posts: list[Post] | None
) -> BaseException | None:
    """What the handler raises, or None."""
    CURRENT.set(context)
    RECORDER.set(posts)
    arguments = (event, client) if handler.takes_client else (event,)
    try:
        call_function(handler, arguments)
    except (Exception, SystemExit) as error:
        return error
    finally:
        if handler.takes_client and not handler.is_async:
            client.close()
    return None


def call_function(handler: Handler, arguments: Sequence[Any]) -> None:
    """Calls the handler to its end; an `async def` in a loop of its own. Raises what it raises, and TimeoutError."""
    result = handler.function(*arguments)
    if handler.is_async:
        result = asyncio.run(await_result(result, handler, arguments[1:]))
    refuse_unfinished(result, "the handler")
    refuse_unawaited(CURRENT.get().issued.drop_unawaited())


async def await_result(result: Any, handler: Handler, clients: Sequence[Any]) -> Any:
    scope = asyncio.timeout(handler.timeout)
    try:
        async with scope:
            answer = await result
    except TimeoutError:
        if scope.expired():
            raise make_timeout_error(handler) from None
        raise
    finally:
        for client in clients:
            await client.close()
    for client in clients:
        refuse_unawaited(client.issued.drop_unawaited())
    return answer
