"""Functions that would not run as their author means it."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from workers import AsyncZyra, Event, Router, Zyra
from workers.errors import WrongHandler
from workers.function_checks import find_function_faults, find_when_faults

if TYPE_CHECKING:
    from workers.zyra import client as late

TYPE = "virtual_server.error"


def generator(event: Event) -> Any:
    yield 1


async def async_generator(event: Event) -> Any:
    yield 1


def of_dict(event: dict[str, Any]) -> None: ...


def swapped(zyra: Zyra, event: Event) -> None: ...


def async_client(event: Event, zyra: AsyncZyra) -> None: ...


async def sync_client(event: Event, zyra: Zyra) -> None: ...


def in_words(event: "bytes", zyra: "late.AsyncZyra") -> None: ...


def keyword(event: Event, *, more: int) -> None: ...


def three(event: Event, zyra: Zyra, more: int) -> None: ...


def none() -> None: ...


def anything(*arguments: Any) -> None: ...


class Callables:
    def method(self, event: Event) -> None: ...

    def __call__(self, event: Event) -> Any:
        yield 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (generator, "generator has a `yield`: calling it would run nothing"),
        (async_generator, "async_generator has a `yield`"),
        (Callables(), "has a `yield`"),
        (Callables, "a handler is a function, not the class Callables"),
        (5, "a handler is a function, not int 5"),
        (classmethod(none), "a handler is a function, not classmethod"),  # type: ignore[arg-type]
        (Callables.method, "Callables.method is a method: write a function outside of the class"),
        (of_dict, "the first parameter of of_dict gets an Event, not dict"),
        (swapped, "the first parameter of swapped gets an Event, not Zyra"),
        (swapped, "the second parameter of the `def` swapped gets Zyra, not Event"),
        (async_client, "the second parameter of the `def` async_client gets Zyra, not AsyncZyra"),
        (sync_client, "the second parameter of the `async def` sync_client gets AsyncZyra, not Zyra"),
        (in_words, "gets an Event, not bytes"),
        (in_words, "gets Zyra, not AsyncZyra"),
        (keyword, r"must take an event, or an event and a client: def keyword\(event, zyra\)"),
        (three, "must take an event"),
        (none, "must take an event"),
        (anything, "must take an event"),
        (functools.partial(three, more=1), "has no name of its own: add name="),
        (max, "has no signature|must take an event"),
    ],
)
def test_it_is_refused_and_the_remedy_named(function: Any, message: str) -> None:
    with pytest.raises(WrongHandler, match=message):
        Router().on(TYPE)(function)


def with_default(event: Event, retries: int = 3) -> None: ...


def untyped(event, zyra): ...  # type: ignore[no-untyped-def]


def loose(event: Any, zyra: object) -> None: ...


def optional(event: Event, zyra: Zyra | None = None) -> None: ...


class Static:
    @staticmethod
    def function(event: Event) -> None: ...


@pytest.mark.parametrize(
    ("function", "takes"),
    [(with_default, False), (untyped, True), (loose, True), (Static.function, False), (Callables().method, False)],
)
def test_what_can_run_is_taken(function: Callable[..., Any], takes: bool) -> None:
    router = Router()
    router.on(TYPE)(function)

    assert [handler.takes_client for handler in router] == [takes]


def test_a_client_may_be_optional() -> None:
    assert [*find_function_faults(optional, None)] == []


async def slow_when(event: Event) -> bool:
    return True


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (slow_when, "when= must be a plain function"),
        (generator, "when= must be a plain function"),
        ("data.id", "when= must be a function of the event, not 'data.id'"),
        (none, "when= must take one argument"),
        (lambda event, more: True, "when= must take one argument"),
    ],
)
def test_conditions_are_checked(when: Any, message: str) -> None:
    assert message in "; ".join(find_when_faults(when))


def test_the_message_names_file_and_line() -> None:
    with pytest.raises(WrongHandler, match=r"^test_function_checks\.py:\d+: generator has"):
        Router().on(TYPE)(generator)


def test_a_built_in_without_a_signature_may_be_a_condition() -> None:
    assert [*find_when_faults(max)] == []
