"""A handler: a function, the events that it wants, and how it is run."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from receiver.contract.payload_paths import find_value, walk

from .event import Event

RECONCILED = "reconciled"  # the origin of events that we made, of what nobody told us


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function of an event, and how it wants to be run. place: file and line of the function."""

    name: str
    types: tuple[str, ...]
    source: str
    function: Callable[..., Any]
    when: Callable[[Event], bool] | None = None
    timeout: float = 60.0
    max_attempts: int = 8
    backoff: tuple[float, ...] = ()
    delay: float = 0.0
    key: str | Callable[[Event], object] | None = None
    concurrency: int | None = None
    rate: tuple[int, float] | None = None  # so many starts, in so many seconds
    debounce: float | None = None
    at_most: float = 0.0
    keeps_newest: bool = True
    newest: str | None = None
    ordered: bool = False
    stops_on_dead: bool = False  # whether a dead letter stops its lane
    isolated: bool = False
    reconciled: bool = False
    is_dead_hook: bool = False  # whether it runs when a run of its router's other handlers is a dead letter
    takes_client: bool = False
    is_async: bool = False
    place: str = ""

    @property
    def is_free(self) -> bool:
        """Whether a run can begin in any process at once: not isolated, no delay, no limit over all workers."""
        return not (self.isolated or self.delay or self.concurrency or self.rate or self.debounce)

    def matches(self, source: str, kind: str, origin: str = "delivery", stem: str = "") -> bool:
        """stem: the first part of a composed type, which is a type of its own as well."""
        if self.source not in ("*", source) or (origin == RECONCILED and not self.reconciled):
            return False
        return any(is_of_type(wanted, kind) or (stem != "" and wanted == stem) for wanted in self.types)

    def find_prefixes(self, source: str, kind: str) -> Iterator[str]:
        """Exact types of the handler that are a prefix of `kind`."""
        if self.source in ("*", source):
            yield from (wanted for wanted in self.types if kind.startswith(f"{wanted}."))

    def wants(self, event: Event) -> bool:
        """Whether the handler is for this event. Raises what its `when` raises, and TypeError if that is async."""
        if self.is_dead_hook:
            return bool(event.failures)
        if not self.matches(event.source, event.type, event.origin, event.stem):
            return False
        if self.when is None:
            return True
        answer = self.when(event)
        refuse_unfinished(answer, "its `when`")
        return bool(answer)

    def find_age(self, event: Event) -> float | None:
        """The number by which `newest` compares events, or None where there is none. Raises ValueError."""
        if self.newest is None:
            return None
        value = walk(event.payload, self.newest.split("."))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if value in (None, ""):
            return None
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise ValueError(
                f"{self.newest} is neither a number nor a time in RFC 3339: newest= cannot compare"
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    def find_key(self, event: Event) -> str:
        """The text by which runs are counted. Raises what the author's function raises, and TypeError."""
        if self.key is None:
            return ""
        if isinstance(self.key, str):
            return self.read_key(event.payload, event.type, event.resource_paths)
        answer = self.key(event)
        refuse_unfinished(answer, "its `key`")
        return str(answer)

    def read_key(self, payload: Any, kind: str, resource: tuple[str, ...]) -> str:
        """The same text, where the key is a path or none, so that no event is needed. resource: see `find_value`."""
        return find_value(payload, kind, self.key, resource) if isinstance(self.key, str) else ""


def is_of_type(wanted: str, kind: str) -> bool:
    """Whether a type is the wanted one, or of its family."""
    return kind.startswith(wanted[:-1]) if wanted.endswith(".*") else wanted in ("*", kind)


def may_match(handler: Handler, source: str, kind: str, origin: str, stem: str) -> bool:
    """Whether a handler is for such events. If matching fails, it gets a run, which fails for this handler alone."""
    try:
        return handler.matches(source, kind, origin, stem)
    except Exception:
        return True


def refuse_unfinished(answer: object, who: str) -> None:
    """Raises TypeError if a function returned something that has not run yet."""
    if answer is None or isinstance(answer, bool | int | str | dict):
        return
    if inspect.iscoroutine(answer):
        answer.close()
    if inspect.isawaitable(answer) or inspect.isgenerator(answer) or inspect.isasyncgen(answer):
        raise TypeError(f"{who} returned {name_unfinished(answer)}, which has not run: write `async def` and `await`")


def name_unfinished(answer: object) -> str:
    return f"a {type(answer).__name__} ({getattr(answer, '__qualname__', '?')})"
