"""Checks the types and options that an author gives `Router.on`. Each fault says what to write instead."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeGuard

from .function_checks import find_event_function_faults
from .zyra.event_types import EVENT_TYPES

CATALOGUES = MappingProxyType({"zyra": EVENT_TYPES})  # sources whose types are known, and these
LIKENESS = 0.75  # to a listed type, from which a type counts as misspelt
MAX_WORD_CHARACTERS = 250  # of a type, a source or a name
MAX_TIMEOUT_SECONDS = 86400.0
MAX_WAIT_SECONDS = 86400.0  # of a delay, or between two attempts
UNIT_SECONDS = MappingProxyType({"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0})
RATE = re.compile(r"[1-9][0-9]{0,5}/(s|min|h|d)")
PATH = re.compile(r"[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*")
PART = r"[A-Za-z0-9_:/ -]+"
TYPE = re.compile(rf"{PART}(\.{PART})*(\.\*)?|\*")


def find_type_faults(types: Sequence[object], source: object, unlisted: bool) -> Iterator[str]:
    """unlisted: whether a type that the source's catalogue does not list is meant."""
    if not types:
        yield 'name the type: @router.on("virtual_server.error")'
    catalogue = CATALOGUES.get(source, ()) if isinstance(source, str) else ()
    for one in types:
        if isinstance(one, list | tuple | set | frozenset):
            words = ", ".join(repr(word) for word in one)
            yield f"pass several types as separate arguments: on({words}), not a {type(one).__name__}"
        elif callable(one):
            yield 'write @router.on("virtual_server.error"), with the type in parentheses'
        elif not isinstance(one, str):
            yield f"a type is a text, not {one!r}"
        elif "*" in one[:-1]:
            yield f'{one!r} is no type: a * may stand only at the end, as in "virtual_server.*"; list other types'
        elif not TYPE.fullmatch(one) or len(one) > MAX_WORD_CHARACTERS:
            yield f'{one!r} is no type: write "virtual_server.error", "virtual_server.*" for a family, or "*" for all'
        elif not unlisted and (hint := find_misspelling(one, catalogue)):
            yield f"{source} sends no {one!r}: {hint}"


def find_misspelling(kind: str, catalogue: Sequence[str]) -> str:
    """What to write instead of a misspelt type; "" for one that is listed, or resembles none that is.

    A type that resembles none may be your own, for `zyra-receiver send`.
    """
    if not catalogue or kind == "*" or kind in catalogue or is_family(kind, catalogue):
        return ""
    if is_family(f"{kind}.*", catalogue):
        return f'did you mean "{kind}.*"?'
    family, starred, _ = kind.partition(".*")
    of_family = [one for one in catalogue if one.partition(".")[0] == kind.partition(".")[0]]
    words = sorted({one.partition(".")[0] for one in catalogue}) if starred else catalogue
    near = [word + starred for word in difflib.get_close_matches(family, words, 1, LIKENESS)]
    if near:
        return f'did you mean "{near[0]}"? If the type is new, add unlisted=True'
    return f"it sends {', '.join(of_family)}. If the type is new, add unlisted=True" if of_family else ""


def is_family(kind: str, catalogue: Sequence[str]) -> bool:
    """Whether a type such as device.* stands for any of these."""
    return kind.endswith(".*") and any(one.startswith(kind[:-1]) for one in catalogue)


def find_word_faults(words: Mapping[str, object]) -> Iterator[str]:
    for option, value in words.items():
        if not is_word(value):
            yield f"{option}= must be a text of 1 to 250 characters, not {value!r}"


def find_number_faults(timeout: object, wholes: Mapping[str, object]) -> Iterator[str]:
    if not is_number(timeout) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        yield f"timeout= must be seconds, more than 0 and at most 86400, not {timeout!r}"
    for option, value in wholes.items():
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            yield f"{option}= must be a whole number from 1 on, not {value!r}"


def find_retry_faults(retries: object, max_attempts: object, backoff: object) -> Iterator[str]:
    if retries is not None and (not isinstance(retries, int) or isinstance(retries, bool) or retries < 0):
        yield f"retries= must be a whole number from 0 on, not {retries!r}"
    if retries is not None and max_attempts is not None:
        yield "retries= and max_attempts= say the same: keep one (retries=7 is max_attempts=8)"
    waits = backoff if isinstance(backoff, list | tuple) else [backoff]
    if backoff is not None and not (waits and all(is_number(one) and 0 <= one <= MAX_WAIT_SECONDS for one in waits)):
        yield f"backoff= must be seconds, or a list of seconds, each at most 86400, not {backoff!r}"


def find_debounce_faults(debounce: object, at_most: object, keep: object) -> Iterator[str]:
    if keep not in ("last", "first"):
        yield f'keep= must be "last" or "first", not {keep!r}'
    if debounce is None:
        if at_most is not None or keep != "last":
            yield "at_most= and keep= belong to debounce=: add it"
    elif not is_number(debounce) or not 0 < debounce <= MAX_WAIT_SECONDS:
        yield f"debounce= must be seconds, at most 86400, not {debounce!r}"
    elif at_most is not None and not (is_number(at_most) and debounce <= at_most <= MAX_WAIT_SECONDS):
        yield f"at_most= must be seconds, at least debounce= and at most 86400, not {at_most!r}"


def find_newest_faults(newest: object, key: object, concurrency: object) -> Iterator[str]:
    if newest is None:
        return
    if not isinstance(newest, str) or not PATH.fullmatch(newest):
        yield f'newest= must be the path of a time or a number, such as "data.updated_at", not {newest!r}'
    if key is None:
        yield "newest= compares events of one key: add key="
    if concurrency not in (None, 1):
        yield "newest= handles one event of a key at a time: leave concurrency= out"


def find_order_faults(ordered: object, on_dead: object, debounce: object, concurrency: object) -> Iterator[str]:
    if on_dead not in ("continue", "stop"):
        yield f'on_dead= must be "continue" or "stop", not {on_dead!r}'
    if ordered is not True:
        if on_dead == "stop":
            yield "on_dead= says what a dead letter does to the later events of its key: add ordered=True"
        return
    if debounce is not None:
        yield "ordered= runs every event of a key, debounce= one of many: keep one of them"
    if concurrency not in (None, 1):
        yield "ordered= handles one event of a key at a time: leave concurrency= out"


def find_flow_faults(key: object, limits: Sequence[object], rate: object) -> Iterator[str]:
    """limits: what may be counted by the key."""
    if key is None:
        pass
    elif isinstance(key, str) and not PATH.fullmatch(key):
        yield f'key= must be a path such as "data.customer", "resource", or a function of the event, not {key!r}'
    elif not isinstance(key, str) and not callable(key):
        yield f"key= must be a path or a function of the event, not {key!r}"
    elif callable(key) and (faults := list(find_event_function_faults("key", key))):
        yield from faults
    elif not any(limits):
        yield "key= says by what to count: it needs concurrency=, rate=, debounce=, newest= or ordered="
    if rate is not None and not (isinstance(rate, str) and RATE.fullmatch(rate)):
        yield f'rate= must be like "5/min" or "100/h" (s, min, h, d), not {rate!r}'


def parse_rate(text: str) -> tuple[int, float]:
    """How many, and in how many seconds."""
    count, _, unit = text.partition("/")
    return int(count), UNIT_SECONDS[unit]


def find_delay_faults(delay: object) -> Iterator[str]:
    if not is_number(delay) or not 0 <= delay <= MAX_WAIT_SECONDS:
        yield f"delay= must be seconds, at most 86400, not {delay!r}"


def find_flag_faults(flags: Mapping[str, object]) -> Iterator[str]:
    for option, value in flags.items():
        if not isinstance(value, bool):
            yield f"{option}= must be True or False, not {value!r}"


def is_word(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_WORD_CHARACTERS and value.isprintable()


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
