"""The one reader of bodies: what was verified is what a handler reads.

What a body is, its bytes say, and never its content type, which nobody signs: JSON begins with a brace or a bracket, a
multipart form with its boundary; anything else is an urlencoded form. The receiver decides among the formats that the
source's scheme takes, and the event keeps the decision.
"""

import base64
import json
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from .errors import Unreadable
from .records import Body, Content

MAX_DEPTH = 100
MAX_FIELDS = 10_000
MAX_BOUNDARY_BYTES = 72  # with its two dashes
MAX_LINE_BYTES = 1024  # of the head of a part
MAX_LINES = 32  # likewise
BOM = b"\xef\xbb\xbf"
BLANKS = b" \t\r\n"
SKIPPED = (b"\xef", b" ", b"\t", b"\r", b"\n")
Fields = list[tuple[str, str]]
decode = msgspec.json.Decoder().decode


def find_first_byte(body: bytes) -> bytes:
    """The first byte that is neither blank nor of a byte order mark; b"" if there is none."""
    first = body[:1]
    return body.removeprefix(BOM).lstrip(BLANKS)[:1] if first in SKIPPED else first


def decide_format(body: bytes, formats: Sequence[Body]) -> Body:
    """The format of a body, among those that a scheme takes; the first of them where the bytes do not say."""
    if len(formats) == 1:
        return formats[0]
    first = find_first_byte(body)
    if first in (b"{", b"[") and Body.JSON in formats:
        return Body.JSON
    if first and first not in (b"{", b"[") and Body.FORM in formats:
        return Body.FORM
    return formats[0]


def read(content: Content) -> Any:
    """The payload: JSON's value, a form as lists by name, a token's claims, None for a raw body, {} for an empty one.

    Raises Unreadable.

    Where the order of a form's fields is not signed, the values of a name are sorted, and each stands once.
    """
    if content.format is Body.RAW:
        return None
    if not content.body:
        return {}
    if content.format is Body.JSON:
        return read_json(content.body)
    if content.format is Body.TOKEN:
        return read_token(content.body)
    fields = read_fields(content.body, errors="replace")
    if len(fields) == 1 and fields[0][0] == content.json_field:
        return read_json(fields[0][1].encode())
    return group_by_name(sorted(set(fields)) if content.unordered else fields)


def read_token(body: bytes) -> Any:
    """The claims of a token, whose signature was verified when it came. Raises Unreadable."""
    try:
        claims = body.strip().split(b".")[1]
        return read_json(base64.b64decode(claims + b"=" * (-len(claims) % 4), altchars=b"-_", validate=True))
    except (IndexError, ValueError):
        raise Unreadable("not-a-token") from None


def read_json(body: bytes) -> Any:
    """Parses JSON. Of two equal keys the last one counts. Raises Unreadable."""
    body = body.removeprefix(BOM)
    try:
        value = decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        value = read_carefully(body)
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and measure_depth(value) > MAX_DEPTH:
        raise Unreadable("too-deep")
    return value


def read_carefully(body: bytes) -> Any:
    """Parses what the fast reader refuses, such as half a surrogate pair. Raises Unreadable with the cause."""
    try:
        return json.loads(
            body.decode(), parse_constant=refuse_constant, parse_float=require_finite, parse_int=parse_whole
        )
    except UnicodeDecodeError:
        raise Unreadable("not-utf-8") from None
    except RecursionError:
        raise Unreadable("too-deep") from None
    except ValueError:
        raise Unreadable("not-json") from None


def read_fields(body: bytes, errors: str = "strict") -> Fields:
    """The text fields of a form, in their order, blank ones included. Raises Unreadable."""
    return read_multipart(body) if body.startswith((b"--", b"\r\n--")) else read_urlencoded(body, errors)


def read_urlencoded(text: bytes, errors: str = "strict") -> Fields:
    """The same as urllib's parse_qsl, three times as fast. errors: of the decoder. Raises Unreadable."""
    if not text:
        return []
    if text.count(b"&") >= MAX_FIELDS:
        raise Unreadable("not-form")
    try:
        pairs = [part.decode("utf-8", errors).partition("=") for part in text.split(b"&") if part]
        if b"%" in text or b"+" in text:
            return [(unquote_plus(name, errors=errors), unquote_plus(value, errors=errors)) for name, _, value in pairs]
    except ValueError:
        raise Unreadable("not-form") from None
    return [(name, value) for name, _, value in pairs]


def read_multipart(body: bytes) -> Fields:
    """The text fields of a multipart form (RFC 7578), whose first line is the boundary; files are left out.

    Raises Unreadable.
    """
    boundary, _, rest = body.removeprefix(b"\r\n").partition(b"\r\n")
    if not 2 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise Unreadable("not-form")
    parts = (b"\r\n" + rest).split(b"\r\n" + boundary, MAX_FIELDS)
    fields: Fields = []
    for number, part in enumerate(parts):
        if part.startswith(b"--"):
            return fields
        head, blank, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        if not blank and number == len(parts) - 1:
            break
        name = read_field_name(head)
        if name:
            try:
                fields.append((name.decode(), value.decode()))
            except UnicodeError:
                raise Unreadable("not-form") from None
    raise Unreadable("not-form")  # it has no end


def read_field_name(head: bytes) -> bytes:
    """The name of a text field, from the head of its part; b"" for a file. Raises Unreadable."""
    lines = head.split(b"\r\n", MAX_LINES)
    if len(lines) > MAX_LINES or any(len(line) > MAX_LINE_BYTES for line in lines):
        raise Unreadable("not-form")
    headers = [(name.strip().lower(), value) for name, _, value in (line.partition(b":") for line in lines)]
    dispositions = [value for name, value in headers if name == b"content-disposition"]
    if len(dispositions) != 1:
        raise Unreadable("not-form")
    parameters = read_parameters(dispositions[0])
    kinds = [value.strip().lower() for name, value in headers if name == b"content-type"]
    if b"filename" in parameters or b"filename*" in parameters or (kinds and not kinds[0].startswith(b"text/")):
        return b""
    if not parameters.get(b"name"):
        raise Unreadable("not-form")
    return parameters[b"name"]


def read_parameters(text: bytes) -> dict[bytes, bytes]:
    """The parameters of a header (RFC 9110, 5.6.6). Raises Unreadable where one stands twice."""
    parameters: dict[bytes, bytes] = {}
    _, _, rest = text.partition(b";")
    while rest:
        name, _, rest = rest.partition(b"=")
        if rest.startswith(b'"'):
            value, _, rest = rest[1:].partition(b'"')
            _, _, rest = rest.partition(b";")
        else:
            value, _, rest = rest.partition(b";")
            value = value.strip()
        key = name.strip().lower()
        if key in parameters:
            raise Unreadable("not-form")
        parameters[key] = value
    return parameters


def group_by_name(fields: Fields) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name, []).append(value)
    return values


def refuse_constant(name: str) -> None:
    raise Unreadable("constant")


def require_finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Unreadable("constant")
    return value


def parse_whole(text: str) -> int:
    if len(text) > 4300:  # Python's own bound, since it takes quadratic time
        raise Unreadable("long-number")
    return int(text)


def measure_depth(value: Any) -> int:
    """How deep lists and objects nest. Counted level by level, because recursion could exhaust the stack."""
    level, nested = 0, [value]
    while nested := [item for item in nested if isinstance(item, dict | list)]:
        level += 1
        nested = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    return level
