"""Reads bodies strictly: what two readers could take for two things is not read at all."""

import json
import math
from typing import Any
from urllib.parse import parse_qs

import msgspec

from receiver.contract.records import Body

from .errors import Unreadable

DEEPEST = 100
decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


def read(body: bytes, kind: Body) -> Any:
    """The payload: JSON's value, a form as lists by name, or None for a raw body. Raises Unreadable."""
    if kind is Body.RAW:
        return None
    if kind is Body.FORM:
        return form(text(body))
    value = document(body)
    if body.count(b"{") + body.count(b"[") > DEEPEST and depth(value) > DEEPEST:
        raise Unreadable("too-deep")
    return value


def document(body: bytes) -> Any:
    """Most bodies say what they say in one way only: without its blanks such a body is what its value is written as.

    So no key of it stands twice, and nothing of it was lost in the reading. All others are read with more care.
    """
    try:
        value = decode(body)
        written = encode(value)
        if written == body or written == msgspec.json.format(body, indent=-1):
            return value
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # what is wrong, or whether it is, the careful reader says
    return careful(text(body))


def careful(document: str) -> Any:
    try:
        return json.loads(
            document, object_pairs_hook=unique, parse_constant=no_constant, parse_float=finite, parse_int=whole
        )
    except RecursionError:
        raise Unreadable("too-deep") from None
    except ValueError:
        raise Unreadable("not-json") from None


def text(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("not-utf-8") from None


def form(text: str) -> dict[str, list[str]]:
    try:
        return parse_qs(text, keep_blank_values=True, strict_parsing=True, max_num_fields=10_000)
    except ValueError:
        raise Unreadable("not-form") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("duplicate-key")
    return found


def no_constant(name: str) -> None:
    raise Unreadable("constant")


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Unreadable("constant")
    return value


def whole(text: str) -> int:
    if len(text) > 4300:
        raise Unreadable("long-number")
    return int(text)


def depth(value: Any) -> int:
    """How deep lists and objects nest, found level by level: no recursion to exhaust."""
    level, nested = 0, [value]
    while nested := [item for item in nested if isinstance(item, dict | list)]:
        level += 1
        nested = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    return level
