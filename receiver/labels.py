"""What a verified delivery is called: its identity, its type, and the marks by which its repetitions are known.

What the signature covers may name an event; what it does not cover names one only together with the signed bytes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .contract.body import BOM, decide_format, first_byte, read_json
from .contract.errors import Unreadable
from .contract.records import Body
from .delivery import Delivery, place, steps
from .errors import BadSignature
from .schemes import Scheme
from .schemes import alternatives as split_place
from .signatures import signed_content

MAX_LABEL = 250  # characters of an id or a type that the ledger keeps
UNTYPED = "event"  # the type of events whose provider names none
DIGITS = b"-0123456789"


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


def alternatives(item: str) -> tuple[Spot, ...]:
    """The spots of a place such as header:a|b, json:event_id|id:evt or header:a|json:b; the first one counts."""
    found = []
    for kind, text in split_place(item):
        if not kind or not text:
            raise ValueError(f"{item!r} is no place: header:, query:, form: or json: with a name")
        name, _, beginning = text.partition(":") if kind == "json" else (text, "", "")
        found.append(Spot(kind, name, beginning))
    return tuple(found)


class LabelReader:
    """Reads labels as one source wants them."""

    def __init__(self, source: str, scheme: Scheme, identity: Sequence[str], untyped: str, check_type: bool) -> None:
        self._prefix = source
        self._scheme = scheme
        self._identity = [alternatives(item) for item in identity]
        self._types = [alternatives(item) for item in scheme.type]
        self._single_type = self._types[0][0].name.encode() if is_one_header(self._types) else b""
        self._single_id = self._identity[0][0].name.encode() if is_one_header(self._identity) else b""
        self._echo = scheme.type_echo if check_type else ()
        self.untyped = untyped or UNTYPED  # the type of events that name none
        self._scope_event = scheme.identity_scope == "event"  # counts only where the identity is signed
        self.is_id_signed = all(scheme.signs(*spot[:2]) for spots in self._identity for spot in spots)
        self.is_type_signed = all(scheme.signs(*spot[:2]) for spots in self._types for spot in spots)
        self._is_plain = not (
            scheme.signs_fields or scheme.signs_content or scheme.attempt_fields
        )  # the body's bytes are the content
        self._covers_body = scheme.covers == "body"
        self._formats = scheme.body
        self._json_field = (Spot("form", scheme.json_field),)
        self._is_all_signed = self.is_id_signed and self.is_type_signed
        paths = [spot.name for spots in (*self._identity, *self._types) for spot in spots if spot.kind == "json"]
        self._peeker = Peeker([*paths, *self._echo]) if paths or self._echo else None

    def format(self, delivery: Delivery) -> Body:
        return decide_format(delivery.body, self._formats)

    def peek(self, delivery: Delivery, kind: Body) -> Mapping[str, str]:
        """The wanted fields of the body's JSON that hold a text or a number, where it has any."""
        if self._peeker is None:
            return {}
        text = delivery.body
        if kind is Body.FORM:
            text = self._find(self._json_field, delivery, {}).encode("utf-8", "replace")
        try:
            return self._peeker.peek(text.removeprefix(BOM)) if text else {}
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return {}  # dispatch will say what is wrong with it

    def identity(self, delivery: Delivery, seen: Mapping[str, str]) -> str:
        """The values of all places, joined; "" if there is none, or if they are too long to be kept."""
        if self._single_id:
            text = delivery.text(self._single_id)
        else:
            values = [self._find(spots, delivery, seen) for spots in self._identity]
            text = "|".join(values) if any(values) else ""
        return text if len(text) <= MAX_LABEL else ""

    def type(self, delivery: Delivery, seen: Mapping[str, str]) -> tuple[str, str]:
        """The type, and its first part if several places compose it, else "".

        A signed word of the body counts more than an unsigned header.
        """
        for path in self._echo:
            if (word := seen.get(path, "")) in self._scheme.types:
                return word, ""
        if self._single_type:
            found = [delivery.text(self._single_type)]
        else:
            found = [self._find(spots, delivery, seen) for spots in self._types]
        text = ".".join(filter(None, found))
        if not 0 < len(text) <= MAX_LABEL:
            return self.untyped, ""
        return text, found[0] if len(text) > len(found[0]) else ""

    def _find(self, spots: tuple[Spot, ...], delivery: Delivery, seen: Mapping[str, str]) -> str:
        for spot in spots:
            if spot.kind == "header":
                value = delivery.text(spot.name.encode())
            elif spot.kind == "json":
                value = seen.get(spot.name, "")
                value = value if value.startswith(spot.beginning) else ""
            elif spot.name:
                try:
                    value = place(f"{spot.kind}:{spot.name}")(delivery).decode("utf-8", "replace")
                except BadSignature:  # the delivery is the provider's; its labels are not readable
                    value = ""
            else:
                value = ""
            if value:
                return value
        return ""

    def marks(self, delivery: Delivery, identity: str, kind: str) -> Marks:
        """Two deliveries are one event if the event's mark is the same."""
        is_named = identity != "" and self.is_id_signed
        content = delivery.body if self._is_plain else canonical_content(self._scheme, delivery)
        if is_named and self._scope_event:
            return Marks(f"{self._prefix}:i:{digest(identity.encode())}", digest(content)[:16])
        kind = "" if is_named or self.is_type_signed else kind
        name = f"{len(identity)} {len(kind)} {identity}{kind}".encode()  # one text for one pair
        space = f"{self._prefix}:i:" if identity else f"{self._prefix}:d:"
        if is_named or self._is_all_signed:
            return Marks(space + digest(name, content))
        hashed = hashlib.sha256(content)
        mark = space + digest(name, hashed.digest())
        signed = hashed.hexdigest()[:32] if self._covers_body else digest(signed_content(self._scheme, delivery))
        return Marks(mark, "", f"{self._prefix}:b:{signed}")


def canonical_content(scheme: Scheme, delivery: Delivery) -> bytes:
    """What the handler reads, in one form only: who sends a signed form's fields in another order sends nothing new."""
    if scheme.attempt_fields:
        return without_fields(delivery.body, scheme.attempt_fields)
    if scheme.signs_content:
        return signed_content(scheme, delivery)
    if not scheme.signs_fields or not delivery.body:
        return delivery.body
    try:
        return repr(sorted(set(delivery.form))).encode()
    except BadSignature:  # JSON, whose digest is signed
        return delivery.body


def without_fields(body: bytes, paths: Sequence[str]) -> bytes:
    """The body's JSON without the fields that change with each attempt; the body itself where it is none."""
    try:
        document = read_json(body)
    except Unreadable:
        return body
    for path in paths:
        *steps_to, last = path.split(".")
        for holder in steps([document], steps_to):
            if isinstance(holder, dict):
                holder.pop(last, None)
    return json.dumps(document, sort_keys=True).encode()


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]


def is_one_header(places: Sequence[tuple[Spot, ...]]) -> bool:
    return len(places) == 1 and len(places[0]) == 1 and places[0][0].kind == "header"


ABSENT = msgspec.Raw()


def at_index(found: Sequence[Any], index: int) -> Any:
    return found[index] if index < len(found) else ABSENT


def is_index(step: str) -> bool:
    return step.isdigit() and len(step) < 4


class Peeker:
    """Reads the few fields that are needed before the answer, and builds nothing else."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = [(path, *path.split(".")) for path in dict.fromkeys(paths)]
        tops = [top for top in dict.fromkeys(top for _, top, *_ in self._paths) if not is_index(top)]
        wanted = [(f"f{number}", msgspec.Raw, ABSENT) for number in range(len(tops))]
        self._at = {top: f"f{number}" for number, top in enumerate(tops)}
        names = {f"f{number}": top for number, top in enumerate(tops)}
        self._object = msgspec.json.Decoder(msgspec.defstruct("Peek", wanted, rename=names))
        self._list = msgspec.json.Decoder(list[msgspec.Raw])

    def peek(self, body: bytes) -> dict[str, str]:
        """Text by path; numbers as they are written. Raises what msgspec raises."""
        seen = {}
        is_list = first_byte(body) == b"["
        found: Any = self._list.decode(body) if is_list else self._object.decode(body)
        for path, top, *rest in self._paths:
            if is_index(top) != is_list:
                continue
            raw = at_index(found, int(top)) if is_list else getattr(found, self._at[top])
            if raw is ABSENT:
                continue
            first = bytes(raw)[:1]
            if rest:
                value = steps([msgspec.json.decode(raw)], rest)[0] if first in (b"{", b"[") else None
            elif first == b'"':
                value = msgspec.json.decode(raw)
            else:
                value = bytes(raw).decode() if first and first in DIGITS else None
            if isinstance(value, str):
                seen[path] = value
            elif isinstance(value, int | float) and not isinstance(value, bool):
                seen[path] = str(value)
        return seen
