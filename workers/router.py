"""Which handler wants which event. Routers compose; nothing registers itself anywhere else."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .event import Event

F = TypeVar("F", bound=Callable[..., Any])
RECONCILED = "reconciled"  # the origin of events that we made, of what nobody told us
MAX_WORD_CHARACTERS = 250  # of a type, a source or a name
MAX_REMEMBERED_TYPES = 1000  # sources and types whose handlers are remembered


TYPE = re.compile(r"[A-Za-z0-9_:/ -]+(\.[A-Za-z0-9_:/ -]+)*(\.\*)?|\*")
MAX_TIMEOUT_SECONDS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """A function of an event, and how it wants to be run."""

    name: str
    types: tuple[str, ...]
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

    @property
    def is_free(self) -> bool:
        """Whether a run can begin in any process at once: not isolated, no limit over all workers."""
        return not self.isolated and self.concurrency is None

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
        """Whether the handler is for this event. Raises what its `when` raises."""
        return self.matches(event.source, event.type, event.origin, event.stem) and (
            self.when is None or bool(self.when(event))
        )


class Router:
    """
    router = Router()

    @router.on("virtual_server.error")
    def restart(event: Event, zyra: Zyra) -> None: ...
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._matching: dict[tuple[str, str, str, str], tuple[Handler, ...]] = {}

    def on(
        self,
        *types: str,
        source: str = "zyra",
        name: str | None = None,
        when: Callable[[Event], bool] | None = None,
        timeout: float = 60,
        max_attempts: int = 8,
        concurrency: int | None = None,
        isolated: bool = False,
        reconciled: bool = False,
    ) -> Callable[[F], F]:
        """Registers a handler for events of these types: "job.failed", "job.*" for a family, or "*" for all.

        The function takes an event, or an event and an API client: `Zyra` if it is a `def`, `AsyncZyra` if it is an
        `async def`. Each event makes one run of it, which may be attempted more than once.

        source: the source's name in the receiver's configuration; "*" for all.
        name: of the handler in the ledger; else the function's module and name. Runs that wait keep their name, so
            give one before you rename the function.
        when: a plain function of the event; where it returns something false, there is no run.
        timeout: seconds an attempt may take, at most 86400. A `def` that takes longer loses its process.
        max_attempts: failures after which the run is a dead letter. RetryLater and lost processes do not count.
        concurrency: runs of this handler at once, over all workers; None is no limit.
        isolated: each attempt runs in a process of its own, for code that may crash or hold the interpreter.
        reconciled: the handler also gets events that `zyra-receiver events reconcile --backfill` makes.

        Raises ValueError where an option makes no sense, and says which.
        """
        faults = [*find_type_faults(types)]
        faults += [f"source= must be the name of a source, or *, not {source!r}"] * (not is_word(source))
        faults += [f"name= must be a text of 1 to 250 characters, not {name!r}"] * (
            name is not None and not is_word(name)
        )
        faults += find_when_faults(when)
        if not is_number(timeout) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
            faults.append(f"timeout= must be seconds, more than 0 and at most 86400, not {timeout!r}")
        if not is_whole(max_attempts) or max_attempts < 1:
            faults.append(f"max_attempts= must be a whole number from 1 on, not {max_attempts!r}")
        if concurrency is not None and (not is_whole(concurrency) or concurrency < 1):
            faults.append(f"concurrency= must be a whole number from 1 on, or None, not {concurrency!r}")
        for option, value in (("isolated", isolated), ("reconciled", reconciled)):
            faults += [f"{option}= must be True or False, not {value!r}"] * (not isinstance(value, bool))
        if faults:
            raise ValueError("on(): " + "; ".join(faults))

        def register(function: F) -> F:
            self._add(
                Handler(
                    name=name or f"{function.__module__}.{function.__qualname__}",
                    types=types,
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

    def find_matching(self, source: str, kind: str, origin: str = "delivery", stem: str = "") -> tuple[Handler, ...]:
        """The handlers for such events, whatever their `when` would say."""
        matching = self._matching.get((source, kind, origin, stem))
        if matching is None:
            if len(self._matching) >= MAX_REMEMBERED_TYPES:  # a provider may invent types without end
                self._matching.clear()
            matching = tuple(one for one in self if may_match(one, source, kind, origin, stem))
            self._matching[source, kind, origin, stem] = matching
        return matching

    def find_hint(self, source: str, kind: str) -> str:
        """A hint to a handler whose type is a prefix of `kind`, or ""."""
        for handler in self:
            for wanted in handler.find_prefixes(source, kind):
                return f'handler {handler.name} is for "{wanted}": did you mean "{wanted}.*"?'
        return ""

    def __iter__(self) -> Iterator[Handler]:
        return iter(self._handlers.values())


def is_of_type(wanted: str, kind: str) -> bool:
    """Whether a type is the wanted one, or of its family."""
    return kind.startswith(wanted[:-1]) if wanted.endswith(".*") else wanted in ("*", kind)


def may_match(handler: Handler, source: str, kind: str, origin: str, stem: str) -> bool:
    """Whether a handler is for such events. If matching fails, it gets a run, which fails for this handler alone."""
    try:
        return handler.matches(source, kind, origin, stem)
    except Exception:
        return True


def find_type_faults(types: Sequence[object]) -> Iterator[str]:
    if not types:
        yield 'name the type, such as on("virtual_server.error")'
    for one in types:
        if isinstance(one, list | tuple | set | frozenset):
            words = ", ".join(repr(word) for word in one)
            yield f"several types are arguments of their own: on({words}), and no {type(one).__name__}"
        elif callable(one):
            yield 'write @router.on("virtual_server.error"), with the type in parentheses'
        elif not isinstance(one, str):
            yield f"a type is a text, not {one!r}"
        elif not TYPE.fullmatch(one) or len(one) > MAX_WORD_CHARACTERS:
            yield f'{one!r} is no type: write "virtual_server.error", "virtual_server.*" for a family, or "*" for all'


def find_when_faults(when: object) -> Iterator[str]:
    if when is None:
        return
    if not callable(when):
        yield f"when= must be a function of the event, not {when!r}"
    elif inspect.iscoroutinefunction(when):
        yield "when= must be a plain function: an `async def` answers a coroutine, which is always true"


def is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD_CHARACTERS and value.isprintable()


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def takes_client(function: Callable[..., Any]) -> bool:
    """Whether the function has a second argument for the API client. Raises ValueError where it takes no event."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    needed = [p for p in positional if p.default is inspect.Parameter.empty]
    if not positional or len(needed) > 2:
        raise ValueError(f"{function.__qualname__} must take an event, or an event and a client")
    return len(positional) > 1
