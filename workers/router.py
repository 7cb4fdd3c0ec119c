"""Which handler wants which event. Routers compose; nothing registers itself anywhere else."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from .event import Event

F = TypeVar("F", bound=Callable[..., Any])
RECONCILED = "reconciled"  # the origin of events that we made, of what nobody told us
KINDS = 1000  # sources and types whose handlers are remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function of an event, and how it wants to be run."""

    name: str
    type: str
    source: str
    function: Callable[..., Any]
    when: Callable[[Event], bool] | None = None
    timeout: float = 60.0
    max_attempts: int = 8
    concurrency: int | None = None
    isolated: bool = False
    reconciled: bool = False
    takes_client: bool = False
    is_async: bool = False

    def matches(self, source: str, kind: str, origin: str = "delivery") -> bool:
        if self.source not in ("*", source) or (origin == RECONCILED and not self.reconciled):
            return False
        if self.type.endswith(".*"):
            return kind.startswith(self.type[:-1])
        return self.type in ("*", kind)

    def wants(self, event: Event) -> bool:
        """Whether the handler is for this event. Whatever its `when` raises flies."""
        return self.matches(event.source, event.type, event.origin) and (self.when is None or bool(self.when(event)))


class Router:
    """
    router = Router()

    @router.on("virtual_server.error")
    def restart(event: Event, zyra: Zyra) -> None: ...
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._matching: dict[tuple[str, str, str], tuple[Handler, ...]] = {}

    def on(
        self,
        type: str,  # noqa: A002 - the word of the interface
        *,
        source: str = "zyra",
        name: str | None = None,
        when: Callable[[Event], bool] | None = None,
        timeout: float = 60,
        max_attempts: int = 8,
        concurrency: int | None = None,
        isolated: bool = False,
        reconciled: bool = False,
    ) -> Callable[[F], F]:
        """Registers a handler: see docs/handlers.md for every option. Raises ValueError where one makes no sense."""
        if not type or timeout <= 0 or max_attempts < 1 or (concurrency is not None and concurrency < 1):
            raise ValueError("on() needs a type, timeout > 0, max_attempts >= 1, and concurrency >= 1 or none")

        def register(function: F) -> F:
            self._add(
                Handler(
                    name=name or f"{function.__module__}.{function.__qualname__}",
                    type=type,
                    source=source,
                    function=function,
                    when=when,
                    timeout=timeout,
                    max_attempts=max_attempts,
                    concurrency=concurrency,
                    isolated=isolated,
                    reconciled=reconciled,
                    takes_client=takes_client(function),
                    is_async=inspect.iscoroutinefunction(function),
                )
            )
            return function

        return register

    def include(self, other: "Router") -> None:
        """Takes in another router's handlers. Raises ValueError where two have one name."""
        for handler in other:
            self._add(handler)

    def _add(self, handler: Handler) -> None:
        if handler.name in self._handlers:
            raise ValueError(f"two handlers are called {handler.name!r}: give one of them another name=")
        self._handlers[handler.name] = handler
        self._matching.clear()

    def get(self, name: str) -> Handler | None:
        return self._handlers.get(name)

    def matching(self, source: str, kind: str, origin: str = "delivery") -> tuple[Handler, ...]:
        """The handlers for such events, whatever their `when` would say."""
        found = self._matching.get((source, kind, origin))
        if found is None:
            if len(self._matching) >= KINDS:  # a provider may invent types without end
                self._matching.clear()
            found = tuple(one for one in self if one.matches(source, kind, origin))
            self._matching[source, kind, origin] = found
        return found

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())


def takes_client(function: Callable[..., Any]) -> bool:
    """Whether the function has a second argument for the API client. Raises ValueError where it takes no event."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    needed = [p for p in found if p.default is inspect.Parameter.empty]
    if not found or len(needed) > 2:
        raise ValueError(f"{function.__qualname__} must take an event, or an event and a client")
    return len(found) > 1
