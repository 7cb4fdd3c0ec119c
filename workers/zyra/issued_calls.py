"""The calls that one attempt has asked an async client for, to find those that nobody awaited: they did not happen."""

import inspect
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
MAX_KEPT = 100  # before those that have begun are forgotten


class IssuedCalls:
    def __init__(self) -> None:
        self._kept: list[tuple[str, Coroutine[Any, Any, Any]]] = []

    def add(self, name: str, call: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        """The call itself. name: of its method, as `virtual_servers.restart`."""
        if len(self._kept) >= MAX_KEPT:
            self._kept = self._find_idle()
        self._kept.append((name, call))
        return call

    def drop_unawaited(self) -> list[str]:
        """Closes the calls that were never awaited; their names."""
        idle = self._find_idle()
        for _, call in idle:
            call.close()
        return [name for name, _ in idle]

    def _find_idle(self) -> list[tuple[str, Coroutine[Any, Any, Any]]]:
        return [one for one in self._kept if inspect.getcoroutinestate(one[1]) == inspect.CORO_CREATED]
