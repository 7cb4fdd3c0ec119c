"""One HTTP request to an endpoint, not trusted yet, and how to read places in it, such as `header:x` or `json:a.b`."""

import base64
import json
import re
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from .contract.body import BOM, Fields, find_first_byte, read_fields, read_urlencoded
from .contract.errors import Unreadable
from .errors import BadSignature, TooLarge

OTHER_KIND = re.compile(r"\|(?:header|json|form|query):")
FIELDS = 1000  # items of a list that are looked at
Place = Callable[["Delivery"], bytes]


class Delivery:
    """Header names are in lower case, as ASGI gives them. url: as the provider called it, query included.

    raw: the bytes as they came, where `body` is what they were before compression.
    """

    __slots__ = ("_first", "_read", "body", "headers", "method", "raw", "url")

    def __init__(
        self,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        method: str = "POST",
        url: str = "",
        raw: bytes | None = None,
    ) -> None:
        self.headers = headers
        self.body = body
        self.raw = body if raw is None else raw
        self.method = method
        self.url = url
        self._first = dict(headers[::-1])
        self._read: dict[str, Any] | None = None

    def header(self, name: bytes) -> bytes:
        """The value, or b"". Raises BadSignature where it stands twice (readers might differ) or is not ASCII."""
        if len(self._first) != len(self.headers) and sum(key == name for key, _ in self.headers) > 1:
            raise BadSignature("repeated")
        value = self._first.get(name, b"")
        if not value.isascii():
            raise BadSignature("malformed")
        return value

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a header that may be repeated."""
        values = [value for key, value in self.headers if key == name]
        if not all(value.isascii() for value in values):
            raise BadSignature("malformed")
        return values

    def text(self, name: bytes) -> str:
        """An unsigned header's text, or ""; the first one's, if it is ASCII."""
        value = self._first.get(name, b"")
        return value.decode() if value.isascii() else ""

    @property
    def json(self) -> Any:
        """The body's JSON; numbers are kept as the text that stands there, since that is what a provider signs."""
        return self._once("json", lambda: parse_json(self.body.removeprefix(BOM)))

    @property
    def looks_like_json(self) -> bool:
        """Whether the body begins as JSON does that holds fields; then nothing in it is a form's field."""
        return find_first_byte(self.body) in (b"{", b"[")

    @property
    def form(self) -> Fields:
        """The text fields of a form, in their order, blank ones included; of JSON none. Raises BadSignature."""
        fields: Fields = self._once("form", lambda: parse_fields(read_fields, self.body))
        return fields

    @property
    def sorted_form(self) -> Fields:
        """The same, sorted, for signatures that leave their order open.

        Raises BadSignature where a body has no fields: else the signature of a URL alone would vouch for any body.
        """
        if self.body and not self.form:
            raise BadSignature("malformed")
        return sorted(self.form)

    @property
    def query(self) -> Fields:
        text = self.url.partition("?")[2].encode()
        fields: Fields = self._once("query", lambda: parse_fields(read_urlencoded, text))
        return fields

    def _once(self, name: str, read: Callable[[], Any]) -> Any:
        if self._read is None:
            self._read = {}
        if name not in self._read:
            self._read[name] = read()
        return self._read[name]


def inflate(body: bytes, most: int) -> bytes:
    """Inflates gzip. Raises TooLarge above `most` bytes, and BadSignature if it is no gzip."""
    stream = zlib.decompressobj(31)
    try:
        inflated = stream.decompress(body, most + 1)
    except zlib.error:
        raise BadSignature("malformed") from None
    if len(inflated) > most:
        raise TooLarge("size")
    if not stream.eof or stream.unused_data:
        raise BadSignature("malformed")
    return inflated


def parse_json(body: bytes | str) -> Any:
    try:
        return json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        raise BadSignature("malformed") from None


def parse_fields(reader: Callable[[bytes], Fields], text: bytes) -> Fields:
    """The fields of a query or of a form. Raises BadSignature; what a handler would read as JSON is no form."""
    if find_first_byte(text) in (b"{", b"["):
        raise BadSignature("malformed")
    try:
        return reader(text)
    except Unreadable:
        raise BadSignature("malformed") from None


def split_url(url: str) -> Any:
    try:
        return urlsplit(url)
    except ValueError:
        raise BadSignature("malformed") from None


@cache
def compile_place(name: str) -> Place:
    """A function that finds what stands in one place: header:x (header:x|y: the first of them that is there),
    header-json:x:a.b (JSON in base64), query:x, form:x, form:x:a.b (JSON in a field), json:a.b, body:.

    It answers b"" where nothing stands there, and raises BadSignature where that cannot be read.
    """
    kind, _, rest = name.partition(":")
    if OTHER_KIND.search(rest):  # json:a|form:b: the first of them that is there
        readers = [compile_place(one) for one in name.split("|")]
        return lambda delivery: next(filter(None, (read(delivery) for read in readers)), b"")
    if kind == "header":
        first, *others = (name.encode() for name in rest.split("|"))
        if others:
            return lambda delivery: next(filter(None, (delivery.header(name) for name in (first, *others))), b"")
        return lambda delivery: delivery.header(first)
    if kind == "header-json":
        held, _, inside = rest.partition(":")
        return lambda delivery: read_path(parse_json(decode_base64(delivery.header(held.encode()))), inside)
    if kind == "query":
        return lambda delivery: read_one(delivery.query, rest)
    if kind == "form":
        field, _, path = rest.partition(":")
        if path:  # JSON in a field of the form
            return lambda delivery: b"" if delivery.looks_like_json else read_form_path(delivery, field, path)
        return lambda delivery: b"" if delivery.looks_like_json else read_one(delivery.form, rest)
    if kind == "json":
        return lambda delivery: read_path(delivery.json, rest) if delivery.looks_like_json else b""
    if kind == "body":
        return lambda delivery: delivery.body
    raise ValueError(f"{name!r} is no place: header:, query:, form: or json: with a name")


def read_form_path(delivery: "Delivery", field: str, path: str) -> bytes:
    return read_path(parse_json(read_one(delivery.form, field) or b"null"), path)


def decode_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise BadSignature("malformed") from None


def read_one(fields: Fields, name: str) -> bytes:
    values = [value for key, value in fields if key == name]
    if len(values) > 1:
        raise BadSignature("repeated")
    return values[0].encode() if values else b""


def read_path(value: Any, path: str) -> bytes:
    """The text at a path. `*` means every item of a list; all must hold the same text."""
    texts = {to_text(item) for item in walk_path([value], path.split("."))}
    if len(texts) > 1:
        raise BadSignature("repeated")
    return next(iter(texts), "").encode("utf-8", "surrogatepass")


def walk_path(values: list[Any], names: list[str]) -> list[Any]:
    for name in names:
        following: list[Any] = []
        for value in values:
            if isinstance(value, list) and name == "*":
                following += value[:FIELDS]
            elif isinstance(value, list) and is_index(name) and int(name) < len(value):
                following.append(value[int(name)])
            elif isinstance(value, dict):
                following.append(value.get(name))
            else:
                following.append(None)
        values = following
    return values


def is_index(step: str) -> bool:
    """Whether a step of a path names an item of a list."""
    return step.isdigit() and len(step) < 4


def to_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def read_path_and_query(url: str) -> str:
    """Path and query, as they stand in the URL."""
    parts = split_url(url)
    return f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
