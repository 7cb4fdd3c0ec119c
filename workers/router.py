"""Which handler wants which event. Routers compose; nothing registers itself anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from . import option_checks
from .errors import WrongHandler
from .event import Event
from .function_checks import find_function_faults, find_when_faults, is_async, locate, locate_function, takes_client
from .handler import Handler, may_match

if TYPE_CHECKING:
    from .handler_types import (
        BreachType,
        DeviceType,
        InvoiceType,
        JobType,
        Options,
        Register,
        VirtualServerType,
    )
    from .zyra.models import Breach, Device, Invoice, Job, VirtualServer

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_ATTEMPTS = 8
MAX_REMEMBERED_TYPES = 1000  # sources and types whose handlers are remembered


class Router:
    """
    router = Router()

    @router.on("virtual_server.error")
    def restart(event: Event, zyra: Zyra) -> None: ...
    """

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._matching: dict[tuple[str, str, str, str], tuple[Handler, ...]] = {}
        self._parents: list[Router] = []
        self._children: list[Router] = []
        self._dead_hook = ""  # the name of its handler
        self._dead_hooks: dict[str, str] = {}  # by a handler's name, as they were found

    @overload
    def on(
        self, *types: DeviceType, source: Literal["zyra"] = "zyra", **options: Unpack[Options]
    ) -> Register[Device]: ...
    @overload
    def on(
        self, *types: VirtualServerType, source: Literal["zyra"] = "zyra", **options: Unpack[Options]
    ) -> Register[VirtualServer]: ...
    @overload
    def on(self, *types: JobType, source: Literal["zyra"] = "zyra", **options: Unpack[Options]) -> Register[Job]: ...
    @overload
    def on(
        self, *types: BreachType, source: Literal["zyra"] = "zyra", **options: Unpack[Options]
    ) -> Register[Breach]: ...
    @overload
    def on(
        self, *types: InvoiceType, source: Literal["zyra"] = "zyra", **options: Unpack[Options]
    ) -> Register[Invoice]: ...
    @overload
    def on(self, *types: str, source: str = "zyra", **options: Unpack[Options]) -> Register[Any]: ...
    def on(
        self,
        *types: str,
        source: str = "zyra",
        name: str | None = None,
        when: Callable[[Event], bool] | None = None,
        timeout: float = 60,
        max_attempts: int | None = None,
        retries: int | None = None,
        backoff: float | Sequence[float] | None = None,
        delay: float = 0.0,
        key: str | Callable[[Event], object] | None = None,
        concurrency: int | None = None,
        rate: str | None = None,
        debounce: float | None = None,
        at_most: float | None = None,
        keep: Literal["last", "first"] = "last",
        newest: str | None = None,
        ordered: bool = False,
        on_dead: Literal["continue", "stop"] = "continue",
        isolated: bool = False,
        reconciled: bool = False,
        unlisted: bool = False,
    ) -> Register[Any]:
        """Registers a handler for events of these types: "job.failed", "job.*" for a family, or "*" for all.

        The function takes an event, or an event and an API client: `Zyra` if it is a `def`, `AsyncZyra` if it is an
        `async def`. Each event makes one run of it, which may be attempted more than once.

        source: the source's name in the receiver's configuration; "*" for all.
        name: of the handler in the ledger; else the function's module and name. Runs that wait keep their name, so
            give one before you rename the function.
        when: a plain function of the event; where it returns something false, there is no run.
        timeout: seconds an attempt may take, at most 86400. A `def` that takes longer loses its process.
        max_attempts: failures after which the run is a dead letter, 8 if nothing is said. RetryLater and lost processes
            do not count.
        retries: the same as max_attempts, less the first attempt.
        backoff: seconds before each retry, each 20 % more or less: one number for all, or a list whose last counts for
            all that follow. Else 5, 20, 80 and so on, at most 6 h.
        delay: seconds from the event's dispatch to the first attempt.
        key: what the options below count by: a path of the payload ("data.customer"),
            "resource" for the resource's id, or a function of the event. Events without one share a key.
        concurrency: runs of this handler at once, of one key if there is one, over all workers; None is no limit.
        rate: starts of this handler, of one key if there is one, over all workers: "5/min" is at most 5 in any minute.
        debounce: seconds without another event, of the same key if there is one, before a run starts. One run starts
            for all events of that time; the others are `skipped`.
        at_most: seconds after which it starts in any case; else 10 times `debounce`.
        keep: whether that run is of the "last" event or of the "first".
        newest: path of a time or a number, such as "data.updated_at". An event that is older than the newest one of its
            key that is done is skipped as stale. Events of one key are handled one at a time.
        ordered: events of one key, or of the handler if it has no key, are handled one at a time, in the order in
            which they were accepted. An attempt that failed is retried before the next event of its key.
        on_dead: whether the later events of its key "continue" after a dead letter, or "stop" until a person replays
            or discards it.
        isolated: each attempt runs in a process of its own, for code that may crash or hold the interpreter.
        reconciled: the handler also gets events that `zyra-receiver events reconcile --backfill` makes.
        unlisted: accepts a type that is not in the source's catalogue.

        Raises WrongHandler, a ValueError, where a type, an option or the function makes no sense, and says which.
        """
        place = locate(sys._getframe(1))
        faults = [
            *option_checks.find_type_faults(types, source, unlisted is True),
            *option_checks.find_word_faults({"source": source, "name": "-" if name is None else name}),
            *find_when_faults(when),
            *option_checks.find_number_faults(timeout, {"max_attempts": max_attempts, "concurrency": concurrency}),
            *option_checks.find_retry_faults(retries, max_attempts, backoff),
            *option_checks.find_delay_faults(delay),
            *option_checks.find_debounce_faults(debounce, at_most, keep),
            *option_checks.find_newest_faults(newest, key, concurrency),
            *option_checks.find_order_faults(ordered, on_dead, debounce, concurrency),
            *option_checks.find_flow_faults(key, (concurrency, rate, debounce, newest, ordered), rate),
            *option_checks.find_flag_faults(
                {"ordered": ordered, "isolated": isolated, "reconciled": reconciled, "unlisted": unlisted}
            ),
        ]
        if faults:
            raise WrongHandler(place, faults)
        attempts = retries + 1 if retries is not None else max_attempts or DEFAULT_ATTEMPTS
        waits = () if backoff is None else tuple(backoff) if isinstance(backoff, Sequence) else (float(backoff),)

        def register(function: F) -> F:
            here = locate_function(function, place)
            if faults := list(find_function_faults(function, name)):
                raise WrongHandler(here, faults)
            self._add(
                Handler(
                    name=name or f"{function.__module__}.{function.__qualname__}",
                    types=types,
                    source=source,
                    function=function,
                    when=when,
                    timeout=timeout,
                    max_attempts=attempts,
                    backoff=waits,
                    delay=delay,
                    key=key,
                    concurrency=1 if newest else concurrency,
                    rate=option_checks.parse_rate(rate) if rate else None,
                    debounce=debounce,
                    at_most=at_most or 10 * (debounce or 0),
                    keeps_newest=keep == "last",
                    newest=newest,
                    ordered=ordered,
                    stops_on_dead=on_dead == "stop",
                    isolated=isolated,
                    reconciled=reconciled,
                    takes_client=takes_client(function),
                    is_async=is_async(function),
                    place=here,
                )
            )
            return function

        return register

    def on_dead(self, function: F = None) -> F:  # type: ignore[assignment]  # to say what is wrong with on_dead()
        """Registers what runs when a run of this router's handlers has become a dead letter.

        The function takes what a handler takes; `event.failures` says which handlers failed, and why. It is a run of
        its own: journalled, and retried. It also counts for routers that this one includes, unless they have their own.
        If it becomes a dead letter itself, nothing else runs. Raises WrongHandler where the function makes no sense, or
        is a second one.
        """
        here = locate_function(function, locate(sys._getframe(1)))
        if function is None:
            raise WrongHandler(here, ["write @router.on_dead, without parentheses"])
        faults = list(find_function_faults(function, "-"))
        if not hasattr(function, "__qualname__"):
            faults.append("on_dead needs a `def` or `async def`: the ledger keeps its name")
        if self._dead_hook:
            faults.append(f"this router has on_dead already: {self._dead_hook}")
        if faults:
            raise WrongHandler(here, faults)
        name = f"{function.__module__}.{function.__qualname__}"
        self._dead_hook = name
        self._add(
            Handler(
                name=name,
                types=(),
                source="*",
                function=function,
                is_dead_hook=True,
                takes_client=takes_client(function),
                is_async=is_async(function),
                place=here,
            )
        )
        return function

    def find_dead_hook(self, name: str) -> str:
        """The name of the handler that runs when a run of this one is a dead letter, or ""."""
        if name not in self._dead_hooks:
            child = next((one for one in self._children if one.get(name)), None)
            self._dead_hooks[name] = (child.find_dead_hook(name) if child else "") or self._dead_hook
        return self._dead_hooks[name]

    def include(self, other: Router) -> None:
        """Adds another router's handlers, also those that are added to it later.

        Raises WrongHandler where two have one name, or where `other` is no router or includes this one.
        """
        place = locate(sys._getframe(1))
        if not isinstance(other, Router):
            raise WrongHandler(place, [f"include() takes a Router, not {type(other).__name__}"])
        if self is other or other in self._list_ancestors():
            raise WrongHandler(place, ["a router cannot include itself"])
        for router in (self, *self._list_ancestors()):  # all or none
            for handler in other:
                router._refuse_namesake(handler)
        for handler in other:
            self._add(handler)
        if self not in other._parents:
            other._parents.append(self)
            self._children.append(other)
            self._dead_hooks.clear()

    def _list_ancestors(self) -> Iterator[Router]:
        for parent in self._parents:
            yield parent
            yield from parent._list_ancestors()

    def _add(self, handler: Handler) -> None:
        self._refuse_namesake(handler)
        self._handlers[handler.name] = handler
        self._matching.clear()
        self._dead_hooks.clear()
        for parent in self._parents:
            parent._add(handler)

    def _refuse_namesake(self, handler: Handler) -> None:
        """Raises WrongHandler where another handler has the name."""
        same = self._handlers.get(handler.name, handler)
        if same is not handler:
            both = f"two handlers are called {handler.name!r}, the other at {same.place}"
            raise WrongHandler(handler.place, [f"{both}: give one of them another name="])

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
