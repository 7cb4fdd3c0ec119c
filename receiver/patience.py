"""A deadline that costs nothing where there is nothing to wait for: a small request is there before its task begins."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def within(seconds: float, waited: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns. Raises TimeoutError. The timer is only set once the coroutine has to wait."""
    try:
        first = waited.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    async with asyncio.timeout(seconds):
        return await Rest(first, waited)  # type: ignore[no-any-return]


class Rest:
    """What is left of a coroutine that has taken its first step."""

    def __init__(self, first: Any, waited: Coroutine[Any, Any, Any]) -> None:
        self._step = first
        self._waited = waited

    def __await__(self) -> Generator[Any, Any, Any]:
        step = self._step
        try:
            while True:
                try:
                    sent = yield step
                except BaseException as error:  # it is cancelled
                    step = self._waited.throw(error)
                else:
                    step = self._waited.send(sent)
        except StopIteration as done:
            return done.value
