"""Builds deliveries: writes values to the places where a scheme reads them."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ..contract.body import read_fields
from ..contract.errors import Unreadable
from ..contract.records import Body
from ..delivery import Delivery, compile_place, is_index
from ..schemes import Scheme, split_alternatives

WRITABLE = ("header", "json", "form", "query")  # kinds of places


class Draft:
    """A delivery that is being made."""

    def __init__(self, scheme: Scheme, body: bytes, url: str) -> None:
        self.scheme = scheme
        self.body = body
        self.headers: dict[str, str] = dict(scheme.require)
        self.items: dict[str, str] = {}  # beside the signature, within its value
        self._url = url
        self._query: list[tuple[str, str]] = []
        is_json = Body.JSON in scheme.body and not is_form(scheme, body)
        self.headers["content-type"] = "application/json" if is_json else "application/x-www-form-urlencoded"

    @property
    def query(self) -> str:
        return urlencode(self._query, quote_via=quote)

    @property
    def delivery(self) -> Delivery:
        url = f"{self._url}{'&' if '?' in self._url else '?'}{self.query}" if self._query else self._url
        return Delivery([(name.encode(), text.encode()) for name, text in self.headers.items()], self.body, url=url)

    def label(self, kind: str, event: str, fill: bool) -> None:
        """Writes the type, in parts where several places compose it, and the id."""
        types = [one for one in self.scheme.type if (fill and not wants_beginning(one)) or one.startswith("header:")]
        types = [one for one in types if is_of_list(one) == is_of_list(types[0])]  # a body is a list or an object
        for one, text in zip(types, kind.split(".", max(0, len(types) - 1)), strict=False):
            self.put(one, text)
        for one in self.scheme.identity:
            if fill or one.startswith("header:"):
                self.put_missing(one, event)

    def put_missing(self, item: str, text: str) -> None:
        if not any(self.get(kind, name) for kind, name in split_alternatives(item)):
            self.put(item, text)

    def get(self, kind: str, name: str) -> bytes:
        """What stands there so far."""
        if kind not in WRITABLE:
            return b""
        if kind != "json":
            return compile_place(f"{kind}:{name}")(self.delivery)
        name, _, beginning = name.partition(":")
        value = compile_place(f"form:{self._json_field}:{name}" if self._json_field else f"json:{name}")(self.delivery)
        return value if value.startswith(beginning.encode()) else b""

    def put(self, item: str, text: str | int) -> None:
        """Writes a value into the first of a place's alternatives that this body can hold. Raises ValueError."""
        spots = [spot for spot in split_alternatives(item) if spot[0] in WRITABLE]
        if not spots:
            raise ValueError(f"`send` cannot write to {item}")
        fits = [spot for spot in spots if spot[0] not in ("json", "form") or (spot[0] == "form") == self._is_form]
        kind, name = (fits or spots)[0]
        name, _, beginning = name.partition(":") if kind == "json" else (name, "", "")
        if kind == "header":
            self.headers[name] = str(text)
        elif kind == "query":
            self._query = [(key, value) for key, value in self._query if key != name] + [(name, str(text))]
        elif kind == "json" and self._json_field:
            self._put_field(f"{self._json_field}:{name}", str(text))
        elif kind == "json":
            value = f"{beginning}{text}" if beginning else text
            self.body = write_compact_json(put_within(self._read_json(), name.split("."), value))
        else:
            self._put_field(name, str(text))

    @property
    def _is_form(self) -> bool:
        return is_form(self.scheme, self.body)

    @property
    def _json_field(self) -> str:
        """The field of a form that holds the payload's JSON; "" of other bodies."""
        return self.scheme.json_field if self._is_form else ""

    def _read_json(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise ValueError("the body must be JSON, since this scheme writes into it") from None

    def _put_field(self, name: str, text: str) -> None:
        name, _, path = name.partition(":")
        try:
            fields = dict(read_fields(self.body))
        except Unreadable:
            raise ValueError("the body must be a form, since this scheme writes into it") from None
        if path:  # JSON within a field
            text = write_compact_json(put_within(json.loads(fields.get(name) or "{}"), path.split("."), text)).decode()
        self.body = urlencode(fields | {name: text}).encode()


def wants_beginning(item: str) -> bool:
    """Whether a place counts only for certain values, which are those of special events."""
    kind, name = next(split_alternatives(item))
    return kind == "json" and ":" in name


def is_of_list(item: str) -> bool:
    return item.startswith("json:") and is_index(item[5:].partition(".")[0])


def is_form(scheme: Scheme, body: bytes) -> bool:
    return scheme.body[0] is Body.FORM and body.lstrip()[:1] not in (b"{", b"[")


def put_within(document: Any, path: list[str], value: Any) -> Any:
    """The document with a value at a path; lists and objects are made where they are missing."""
    if not path:
        return value
    step, *rest = path
    if step == "*" or is_index(step):
        number = 0 if step == "*" else int(step)
        items = list(document) if isinstance(document, list) else [document] if document else []
        items += [{}] * (number + 1 - len(items))
        numbers = range(len(items)) if step == "*" else [number]
        return [put_within(item, rest, value) if at in numbers else item for at, item in enumerate(items)]
    known = document if isinstance(document, dict) else {}
    return known | {step: put_within(known.get(step), rest, value)}


def write_compact_json(document: Any) -> bytes:
    """As JSON.stringify writes it: some SDKs sign the body that they have parsed and written again."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def encode_payload(scheme: Scheme, payload: Mapping[str, Any]) -> bytes:
    """The payload in the first format of the scheme."""
    if scheme.body[0] is not Body.FORM:
        return write_compact_json(payload)
    if scheme.json_field:
        return urlencode({scheme.json_field: write_compact_json(payload).decode()}).encode()
    fields = {
        name: value if isinstance(value, str) else write_compact_json(value).decode() for name, value in payload.items()
    }
    return urlencode(fields).encode()
