"""Checks the functions that an author gives `Router.on`. Each fault says what to write instead."""

import builtins
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType, UnionType
from typing import Any, Union

from .event import Event

CLIENTS = ("Zyra", "AsyncZyra")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def find_when_faults(when: object) -> Iterator[str]:
    if when is not None and not callable(when):
        yield f"when= must be a function of the event, not {when!r}"
    elif callable(when):
        yield from find_event_function_faults("when", when)


def find_event_function_faults(option: str, function: Callable[..., Any]) -> Iterator[str]:
    """Of a function of the event, whose answer counts at once."""
    if is_async(function) or is_generator(function):
        yield f"{option}= must be a plain function: an `async def` or a generator gives no answer when it is called"
    elif not takes_one(function):
        yield f"{option}= must take one argument, the event"


def find_function_faults(function: object, name: str | None) -> Iterator[str]:
    if inspect.isclass(function) or not callable(function):
        yield f"a handler is a function, not {describe(function)}"
        return
    if is_generator(function):
        yield f"{label(function)} has a `yield`: calling it would run nothing. Return instead"
        return
    if name is None and not hasattr(function, "__qualname__"):
        yield f"{describe(function)} has no name of its own: add name="
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        yield f"{label(function)} has no signature: wrap it in a `def` that takes the event"
        return
    if is_method(function, parameters):
        yield f"{label(function)} is a method: write a function outside of the class"
        return
    yield from find_parameter_faults(function, parameters)


def find_parameter_faults(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Iterator[str]:
    positional = [one for one in parameters if one.kind in POSITIONAL]
    needed = [one for one in parameters if one.default is inspect.Parameter.empty and one.kind not in VARIABLE]
    if not positional or len(needed) > 2 or any(one.kind not in POSITIONAL for one in needed):
        yield f"{label(function)} must take an event, or an event and a client: def {label(function)}(event, zyra)"
        return
    wrong = find_annotation(function, positional[0])
    if wrong and not can_be_event(wrong):
        yield f"the first parameter of {label(function)} gets an Event, not {name_annotation(wrong)}"
    if not takes_client(function):
        return
    told, wanted = find_annotation(function, positional[1]), "AsyncZyra" if is_async(function) else "Zyra"
    if told and not re.search(rf"\b({wanted}|Any|object)\b", name_annotation(told)):
        form = "`async def`" if wanted == "AsyncZyra" else "`def`"
        yield f"the second parameter of the {form} {label(function)} gets {wanted}, not {name_annotation(told)}"


def takes_client(function: Callable[..., Any]) -> bool:
    """Whether the second parameter is for the API client. One with a default other than None is not."""
    positional = [one for one in inspect.signature(function).parameters.values() if one.kind in POSITIONAL]
    return len(positional) > 1 and positional[1].default in (inspect.Parameter.empty, None)


def find_annotation(function: Callable[..., Any], parameter: inspect.Parameter) -> Any:
    """What the parameter is annotated with, where that can be known; else None."""
    told = parameter.annotation
    if told is inspect.Parameter.empty or not isinstance(told, str):
        return None if told is inspect.Parameter.empty else told
    try:
        return eval(told, getattr(function, "__globals__", {}))  # noqa: S307 - the author's own code
    except Exception:  # imported for the type checker alone
        last = told.rpartition(".")[2]
        return last if last in CLIENTS or hasattr(builtins, last) else None


def can_be_event(told: Any) -> bool:
    kind = getattr(told, "__origin__", told)
    if told is Any or kind is Union or isinstance(kind, UnionType):
        return True
    return issubclass(Event, kind) if isinstance(kind, type) else not isinstance(kind, str)


def name_annotation(told: Any) -> str:
    return told if isinstance(told, str) else getattr(told, "__name__", str(told))


def is_method(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> bool:
    """Whether a function stands in a class and is not bound to an object of it."""
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = scope != "" and not scope.endswith("<locals>")
    if not in_class or inspect.ismethod(function):
        return False
    return bool(parameters) and parameters[0].name in ("self", "cls")


def is_async(function: object) -> bool:
    return any(inspect.iscoroutinefunction(one) for one in (function, find_call(function)))


def is_generator(function: object) -> bool:
    made = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(is_made(one) for one in (function, find_call(function)) for is_made in made)


def find_call(value: object) -> object:
    """What runs when an object of a class is called."""
    return getattr(value, "__call__", None)  # noqa: B004 - the method itself is wanted


def takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # a built-in without a signature
        return True
    return True


def describe(value: object) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else f"{type(value).__name__} {value!r}"[:80]


def label(function: object) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__)).rpartition("<locals>.")[2]


def locate(frame: FrameType | None) -> str:
    """File and line of a caller."""
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "?"


def locate_function(function: object, otherwise: str) -> str:
    """File and line of a function; a decorator's line, where it has any."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}" if code else otherwise
