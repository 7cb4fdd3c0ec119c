"""Identity and type of a verified delivery, and the marks by which repetitions are known.

What the signature covers may name an event; what it does not cover names one only together with the signed bytes.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from .contract.body import BOM, decide_format, find_first_byte, read_json
from .contract.errors import Unreadable
from .contract.records import Body
from .delivery import Delivery, compile_place, is_index, walk_path
from .errors import BadSignature
from .schemes import Scheme
from .schemes import split_alternatives as split_place
from .signatures.jws import decode_document
from .signatures.verify import read_signed_content

MAX_LABEL = 250  # characters of an id or a type that the ledger keeps
UNTYPED = "event"  # the type of events whose provider names none
DIGITS = b"-0123456789"
decode_json = msgspec.json.Decoder().decode
Find = Callable[[Delivery, Mapping[str, str]], str]  # what stands in a place, or ""; the mapping is what `peek` saw


class Spot(NamedTuple):
    """One alternative of a place. beginning: what its value must begin with."""

    kind: str
    name: str
    beginning: str = ""


class Marks(NamedTuple):
    """Names of marks in Redis. digest: of the content, where the identity alone makes the mark.

    signed: the mark of what is signed alone, where somebody could send it again under another name; else "".
    """

    event: str
    digest: str = ""
    signed: str = ""


def parse_place(item: str) -> tuple[Spot, ...]:
    """The spots of a place such as header:a|b, json:event_id|id:evt or header:a|json:b; the first one counts."""
    spots = []
    for kind, text in split_place(item):
        if not kind or not text:
            raise ValueError(f"{item!r} is no place: header:, query:, form: or json: with a name")
        name, _, beginning = text.partition(":") if kind == "json" else (text, "", "")
        spots.append(Spot(kind, name, beginning))
    return tuple(spots)


class LabelReader:
    """Reads the labels of one source's deliveries."""

    def __init__(self, source: str, scheme: Scheme, identity: Sequence[str], untyped: str, check_type: bool) -> None:
        self._prefix = source
        self._scheme = scheme
        id_places = [parse_place(item) for item in identity]
        type_places = [parse_place(item) for item in scheme.type]
        self._find_ids = [make_first_finder(spots, scheme) for spots in id_places]
        self._find_types = [make_first_finder(spots, scheme) for spots in type_places]
        self._echo = scheme.type_echo if check_type else ()
        self._words = frozenset(scheme.types)
        self.untyped = untyped or UNTYPED  # the type of events that name none
        self._scope_event = scheme.identity_scope == "event"  # counts only where the identity is signed
        self.is_id_signed = all(scheme.signs(*spot[:2]) for spots in id_places for spot in spots)
        self.is_type_signed = all(scheme.signs(*spot[:2]) for spots in type_places for spot in spots)
        self._is_plain = not (
            scheme.signs_fields or scheme.signs_content or scheme.attempt_fields
        )  # the body's bytes are the content
        self._covers_body = scheme.covers == "body"
        self._formats = scheme.body
        self._find_json = make_first_finder([Spot("form", scheme.json_field)] if scheme.json_field else [], scheme)
        self._is_all_signed = self.is_id_signed and self.is_type_signed
        paths = [spot.name for spots in (*id_places, *type_places) for spot in spots if spot.kind == "json"]
        self._peeker = Peeker([*paths, *self._echo]) if paths or self._echo else None

    def format(self, delivery: Delivery) -> Body:
        return decide_format(delivery.body, self._formats)

    def peek(self, delivery: Delivery, kind: Body) -> Mapping[str, str]:
        """The wanted fields of the body's JSON that hold a text or a number, where it has any."""
        if self._peeker is None:
            return {}
        text = delivery.body
        if kind is Body.FORM:
            text = self._find_json(delivery, {}).encode("utf-8", "replace")
        try:
            return self._peeker.peek(text.removeprefix(BOM)) if text else {}
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return {}  # dispatch will say what is wrong with it

    def identity(self, delivery: Delivery, fields: Mapping[str, str]) -> str:
        """The values of all places, joined; "" if there is none, or if they are too long to be kept."""
        values = [find(delivery, fields) for find in self._find_ids]
        text = "|".join(values) if any(values) else ""
        return text if len(text) <= MAX_LABEL else ""

    def type(self, delivery: Delivery, fields: Mapping[str, str]) -> tuple[str, str]:
        """The type, and its first part if several places compose it, else "".

        A signed word of the body counts more than an unsigned header.
        """
        for path in self._echo:
            if (word := fields.get(path, "")) in self._words:
                return word, ""
        texts = [find(delivery, fields) for find in self._find_types]
        text = ".".join(filter(None, texts))
        if not 0 < len(text) <= MAX_LABEL:
            return self.untyped, ""
        return text, texts[0] if len(text) > len(texts[0]) else ""

    def marks(self, delivery: Delivery, identity: str, kind: str) -> Marks:
        """Two deliveries are one event if the event's mark is the same."""
        is_named = identity != "" and self.is_id_signed
        content = delivery.body if self._is_plain else canonicalize(self._scheme, delivery)
        if is_named and self._scope_event:
            return Marks(f"{self._prefix}:i:{digest(identity.encode())}", digest(content)[:16])
        kind = "" if is_named or self.is_type_signed else kind
        name = f"{len(identity)} {len(kind)} {identity}{kind}".encode()  # one text for one pair
        space = f"{self._prefix}:i:" if identity else f"{self._prefix}:d:"
        if is_named or self._is_all_signed:
            return Marks(space + digest(name, content))
        hashed = hashlib.sha256(content)
        mark = space + digest(name, hashed.digest())
        signed = hashed.hexdigest()[:32] if self._covers_body else digest(read_signed_content(self._scheme, delivery))
        return Marks(mark, "", f"{self._prefix}:b:{signed}")


def canonicalize(scheme: Scheme, delivery: Delivery) -> bytes:
    """The content in canonical form: another order of a signed form's fields is not a new event."""
    if scheme.attempt_fields:
        return drop_fields(delivery.body, scheme.attempt_fields)
    if scheme.signs_content:
        return read_signed_content(scheme, delivery)
    if not scheme.signs_fields or not delivery.body:
        return delivery.body
    try:
        return repr(sorted(set(delivery.form))).encode()
    except BadSignature:  # JSON, whose digest is signed
        return delivery.body


def drop_fields(body: bytes, paths: Sequence[str]) -> bytes:
    """The body's JSON without the fields that change with each attempt; the body itself where it is none."""
    try:
        document = read_json(body)
    except Unreadable:
        return body
    for path in paths:
        *steps_to, last = path.split(".")
        for holder in walk_path([document], steps_to):
            if isinstance(holder, dict):
                holder.pop(last, None)
    return json.dumps(document, sort_keys=True).encode()


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def make_first_finder(spots: Sequence[Spot], scheme: Scheme) -> Find:
    """A function that finds the first of these spots that holds something."""
    finders = [make_token_finder(scheme, spot.name) if spot.kind == "token" else make_finder(spot) for spot in spots]
    if len(finders) == 1:
        return finders[0]

    def find(delivery: Delivery, fields: Mapping[str, str]) -> str:
        for one in finders:
            if text := one(delivery, fields):
                return text
        return ""

    return find


def make_token_finder(scheme: Scheme, path: str) -> Find:
    """Reads a claim of the token that is the signature; a claim may hold JSON as text."""
    read, names = compile_place(scheme.signature[0]), path.split(".")

    def find(delivery: Delivery, fields: Mapping[str, str]) -> str:
        try:
            value: object = decode_document(read(delivery).strip().split(b".")[1])
            for name in names:
                holder = json.loads(value) if isinstance(value, str) else value
                value = holder.get(name) if isinstance(holder, dict) else None
        except (BadSignature, IndexError, ValueError, RecursionError):
            return ""
        return value if isinstance(value, str) else ""

    return find


def has_key(delivery: Delivery, name: str) -> bool:
    try:
        return delivery.looks_like_json and isinstance(delivery.json, dict) and name in delivery.json
    except BadSignature:
        return False


def make_finder(spot: Spot) -> Find:
    if spot.kind == "header":
        header = spot.name.encode()
        return lambda delivery, fields: delivery.text(header)
    if spot.kind == "key":
        return lambda delivery, fields: spot.name if has_key(delivery, spot.name) else ""
    if spot.kind == "json" and spot.beginning:
        return lambda delivery, fields: value if (value := fields.get(spot.name, "")).startswith(spot.beginning) else ""
    if spot.kind == "json":
        return lambda delivery, fields: fields.get(spot.name, "")
    read = compile_place(f"{spot.kind}:{spot.name}")

    def find(delivery: Delivery, fields: Mapping[str, str]) -> str:
        try:
            return read(delivery).decode("utf-8", "replace")
        except BadSignature:  # the delivery is the provider's; its labels are not readable
            return ""

    return find


ABSENT = msgspec.Raw()


class Peeker:
    """Reads a few fields of JSON without building the rest."""

    def __init__(self, paths: Sequence[str]) -> None:
        split = [(path, *path.split(".")) for path in dict.fromkeys(paths)]
        tops = list(dict.fromkeys(top for _, top, *_ in split if not is_index(top)))
        fields = {top: f"f{number}" for number, top in enumerate(tops)}
        wanted = [(field, msgspec.Raw, ABSENT) for field in fields.values()]
        names = {field: top for top, field in fields.items()}
        self._object = msgspec.json.Decoder(msgspec.defstruct("Peek", wanted, rename=names))
        self._list = msgspec.json.Decoder(list[msgspec.Raw])
        self._in_object = [(path, fields[top], rest) for path, top, *rest in split if top in fields]
        self._in_list = [(path, int(top), rest) for path, top, *rest in split if top not in fields]

    def peek(self, body: bytes) -> dict[str, str]:
        """Text by path; numbers as they are written. Raises what msgspec raises."""
        peeked = {}
        if find_first_byte(body) == b"[":
            items = self._list.decode(body) if self._in_list else []
            for path, index, rest in self._in_list:
                if index < len(items) and (text := read_text(items[index], rest)):
                    peeked[path] = text
            return peeked
        fields = self._object.decode(body)
        for path, field, rest in self._in_object:
            raw = getattr(fields, field)
            if raw is not ABSENT and (text := read_text(raw, rest)):
                peeked[path] = text
        return peeked


def read_text(raw: msgspec.Raw, rest: list[str]) -> str:
    """The text or number at a path within one value's JSON, or "". Raises what msgspec raises."""
    text = bytes(raw)
    if rest:
        value = walk_path([decode_json(text)], rest)[0] if text[:1] in (b"{", b"[") else None
        return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if text[:1] == b'"':
        return str(decode_json(text))
    return text.decode() if text[:1] in DIGITS else ""
