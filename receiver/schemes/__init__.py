"""Signature schemes: how a provider signs, dates and labels its deliveries. `schemes.toml` is the table.

A row is data; what data cannot say is a named builder in `signatures/builders.py`. `docs/providers.md` shows every row.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..contract.records import Body
from .traits import BUILDERS, Coverage, Traits

OFFICIAL = ("code", "docs", "code+docs")
Count = Annotated[int, Meta(ge=0)]
Status = Annotated[int, Meta(ge=200, le=599)]
HeaderName = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]  # RFC 9110, 5.6.2
HeaderValue = Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z")]


Family = Literal["token", "basic", "message", "jwt", "parts"]
FAMILIES: dict[str, Family] = {
    "static-token": "token",
    "none": "token",
    "basic-auth": "basic",
    "http-signatures": "message",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What a provider asks before it delivers, and the answer: a text or an object, with {challenge} and {mac}."""

    method: str = "POST"
    when: Mapping[str, str] = field(default_factory=dict)  # places, and what must stand there; "a|b": one of them
    without: str = ""  # place where nothing must stand
    signed: bool = False  # whether it must verify as a delivery does
    token: str = ""  # place that must hold one of the secrets, or the source's parameter
    challenge: str = ""  # place
    pattern: str = ""  # what the challenge must look like, whole
    mac: str = ""  # how the challenge is signed: hmac-sha256 hex
    learn: str = ""  # place of a secret that the provider tells once
    visit: str = ""  # place of an address that must be fetched before the answer
    visit_pattern: str = ""  # what must stand there, whole
    status: Status = 200
    failure: int = 0  # the status if token or pattern do not fit; 0: as for a bad signature
    text: str = ""
    json: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[HeaderName, HeaderValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where the provider keeps the public keys with which it signs; they are fetched when a delivery wants one."""

    url: str  # a template: {named} is what the delivery says
    named: tuple[str, ...] = ()  # places that name a key; one of the keys must fit
    pattern: str = ""  # what must stand there, whole
    read: str = ""  # where the key stands in what was fetched: a place such as json:key; "": it is all of it
    credential: str = ""  # what must be shown: bearer, or the address at which client id and secret get a token
    scope: str = ""  # of that token
    own: bool = False  # whether the operator named the address


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scheme:
    """One row. Header names are in lower case. A scheme is equal to itself alone, which makes it a cheap key.

    A place is where something stands in a delivery: header:x, query:x, form:x, json:a.b, item:x (a part of the
    signature's own value), token:a.b (a claim of the token that is the signature), or key:x (x itself, if the body has
    that field). A template is literal text with places and other parts in braces; see `signatures/template.py`.
    """

    title: str
    primitive: Literal[
        "hmac-body", "hmac-template", "hmac-fields", "hmac-url-form", "standard-webhooks", "plain-digest",
        "static-token", "basic-auth", "none", "asym-key", "asym-remote", "jws-asym", "jwt-hs", "http-signatures",
    ]  # fmt: skip
    source: str  # the page or the library that says so
    confidence: str  # code, docs, code+docs: official; secondary; unconfirmed
    vector: str = ""  # who made a positive test vector of it, outside of our engine

    # The signature, and how its value is written
    signature: tuple[str, ...] = ()  # places; any of them may hold one that fits
    prefix: str = ""  # what stands before it
    groups: str = ""  # separates groups, each with a time of its own
    separator: str = ""  # separates several signatures or items
    pair: str = ""  # separates the name of an item from its value
    version: str = ""  # the name of the item that is a signature; *: of any name
    bare: bool = False  # whether an item without a name counts as well
    encoding: str = "hex"  # hex, hex-any, hex-upper, base64, base64url, base64-hex: base64 of the hex text
    repeated: bool = False  # whether its header may stand twice
    joiner: str = ""  # what the provider writes between items, where that is more than the separator
    send_headers: Mapping[HeaderName, HeaderValue] = field(default_factory=dict)  # what `send` adds; {event}: the id

    # What is signed, and with what
    algorithm: str = "hmac-sha256"
    signed: str = "{body}"  # a template
    builder: str = ""  # the builder that says what is signed, where no template can
    key: str = "text"  # a kind of `text_key`, text-or-base64 (either fits), or a public one of public_keys.py
    strip: tuple[str, ...] = ()  # beginnings of the secret that are no part of the key
    suffix: str = ""  # what is added to it
    key_id: str = ""  # place that names the key; secrets are then written as name:key
    parameter: str = ""  # what else the operator tells: set by `parameter` of the source
    needs: str = ""  # what that is
    account: str = ""  # whom a token must be of: set by `account` of the source
    ours: str = ""  # place that must hold the parameter: others can have the provider sign for them too
    remote: Remote | None = None
    require: Mapping[str, str] = field(default_factory=dict)  # headers that must hold this

    # JSON Web Tokens
    algorithms: tuple[str, ...] = ()
    claims: Mapping[str, str] = field(default_factory=dict)  # claims that must hold this
    hashes: Mapping[str, str] = field(default_factory=dict)  # claims that must be the hash of body or url

    # HTTP message signatures
    covered: tuple[str, ...] = ()  # components that must be signed; "a|b": one of them

    # Time
    timestamp: str = ""  # place
    unit: Literal["s", "ms", "s-or-ms", "iso", "http"] = "s"
    tolerance: Count = 0  # seconds; 0: the time is signed, but any time will do
    future: Literal["within", "never", "any"] = "within"  # whether it may lie in the future

    # What the event is
    identity: tuple[str, ...] = ()  # places, all of them joined; a|b: the first that is there; json:id:evt: begins so
    identity_scope: Literal["", "event"] = ""  # "event": repetitions of one id may differ in bytes
    type: tuple[str, ...] = ()  # places, joined by dots; those that are missing are left out
    type_echo: tuple[str, ...] = ()  # fields that repeat the type if their value is one of types
    types: tuple[str, ...] = ()  # the provider's catalogue
    body: tuple[Body, ...] = (Body.JSON,)  # formats that it sends
    json_field: str = ""  # of a form, whose JSON is the payload if no other field is there
    unprotected: tuple[str, ...] = ()  # what the signature leaves open besides what its columns say, in words
    gzip: Literal["", "inflated", "deflated"] = ""  # what is signed of a compressed body; "": there are none

    # What the provider wants to hear
    handshakes: tuple[Handshake, ...] = ()
    success_status: Status = 200
    success_headers: Mapping[HeaderName, HeaderValue] = field(default_factory=dict)
    success_body: str = ""
    retries: str = ""  # what it does with a failure, in the words of its page; "": no page says
    disables_after: str = ""
    deadline: str = ""  # until which it wants its answer
    answers_source: str = ""  # the pages or the code that give identity, type, body and answer
    unknown: tuple[str, ...] = ()  # which of the five answers no source gives: identity, type, body, answer
    resource_id: tuple[str, ...] = ()  # paths to the id of the thing that the event is about
    attempt_fields: tuple[str, ...] = ()  # signed fields of the body that change with each attempt
    max_body: Count = 0  # bytes; 0: MAX_BODY_BYTES
    failure_status: Status = 401
    silent: bool = False  # whether its answers must have no body

    @property
    def family(self) -> Family:
        """Which part of the engine verifies it."""
        return "jwt" if self.algorithms else FAMILIES.get(self.primitive, "parts")

    @property
    def traits(self) -> Traits:
        return BUILDERS[self.builder]

    @property
    def verifies(self) -> bool:
        """Whether how it signs rests on the provider's own code or pages, and on a vector that others made."""
        return self.confidence in OFFICIAL and self.vector != ""

    @property
    def missing_answers(self) -> tuple[str, ...]:
        """Which of the answers besides the signature no source gives."""
        return self.unknown if self.answers_source else ANSWERS

    @property
    def is_confirmed(self) -> bool:
        """Whether all five answers have a source: signature, identity, type, body, and what counts as success."""
        return self.verifies and not self.missing_answers

    @property
    def status(self) -> str:
        """confirmed, signature-only or unconfirmed."""
        return "confirmed" if self.is_confirmed else "signature-only" if self.verifies else "unconfirmed"

    @property
    def shares_keys(self) -> bool:
        """Whether the provider signs for all its customers with one key, and nothing tells that it is for us."""
        known = self.remote is not None and self.source != "" and not self.remote.own
        texts = [self.signed, *self.claims.values()]
        return known and not self.ours and not any("{parameter}" in text for text in texts)

    @property
    def wants_url(self) -> bool:
        """Whether the URL that the provider called is signed."""
        hashed = any(how.startswith(("url", "qsh")) for how in self.hashes.values())
        return "{url" in self.signed or self.traits.wants_url or hashed or self.family == "message"

    @property
    def signs_fields(self) -> bool:
        """Whether the fields of a form are signed, and not its bytes: their order and their writing are then open."""
        return self.traits.signs_fields or "{form_sorted}" in self.signed

    @property
    def signs_content(self) -> bool:
        """Whether what is signed is all that the event tells, in one form only, whatever else stands in the body."""
        inside = self.algorithms and self.signature[0].startswith(("body:", "json:"))
        return bool(inside) or self.traits.signs_content

    def signs(self, kind: str, name: str) -> bool:
        """Whether the signature covers what stands in a place."""
        if kind == "token":
            return True
        if kind in ("json", "form", "key"):
            if self.covers == "body" or f"{{{kind}:{name}}}" in self.signed:
                return True
        elif kind == "query":
            query_signed = "{url}" in self.signed or any(how.startswith(("url", "qsh")) for how in self.hashes.values())
            if query_signed or self.traits.signs_query:
                return True
        elif name in self.covered or any(name in names.split("|") for names in SIGNED_HEADERS.findall(self.signed)):
            return True
        return f"{kind}:{name}" in self.traits.signs

    @property
    def open_parts(self) -> tuple[str, ...]:
        """What an attacker who has captured a delivery can change in it, in words for the operator."""
        parts = list(self.unprotected)
        places = [*self.identity, *self.type]
        headers = [name for place in places for kind, name in split_alternatives(place) if kind == "header"]
        parts += [f"header {name}" for name in dict.fromkeys(headers) if not self.signs("header", name)]
        if self.covers == "nothing":
            parts.append("the whole body")
        elif self.covers == "part":
            parts.append("all fields of the body but those that are signed")
        if self.builder == "twilio" or "{form_sorted}" in self.signed or self.builder == "plivo":
            parts.append("where a field's name ends and its value begins: they are signed without separators")
        if "{body_crc32}" in self.signed:
            parts.append("the body, which is bound by a CRC-32 only: others with the same sum can be made")
        if self.algorithm in ("sha1", "sha256", "sha512", "md5") and self.signed.startswith("{key}"):
            parts.append("what is added at the end: a plain digest that begins with the secret can be extended")
        return tuple(parts)

    @property
    def covers(self) -> Coverage:
        """What of the body the signature binds: body, part or nothing."""
        if self.family in ("token", "basic"):
            return "nothing"
        if self.family == "message":  # the draft before RFC 9421 always wants the digest
            return "body" if "content-digest" in self.covered or self.separator else "nothing"
        if self.algorithms:
            hashed = any(how.startswith("body") for how in self.hashes.values())
            if self.signature[0].startswith("json:"):
                return "part"
            inside = self.signature[0].startswith("body:")
            return "body" if hashed or inside or "{b64_header}" in self.signed else "nothing"
        if self.builder:
            return self.traits.covers
        if "{body" in self.signed or "{raw}" in self.signed:
            return "body"
        return "part" if "{json" in self.signed or "{form" in self.signed else "nothing"


KINDS = ("header", "json", "form", "query", "key", "token", "header-json", "body")
ANSWERS = ("identity", "type", "body", "answer")
SIGNED_HEADERS = re.compile(r"\{header:([^}]+)\}")


@cache
def load_schemes() -> dict[str, Scheme]:
    """Every scheme by its name."""
    rows = tomllib.loads(files(__package__).joinpath("schemes.toml").read_text("utf-8"))
    return {name: parse_scheme(row) for name, row in rows.items()}


def parse_scheme(row: Any) -> Scheme:
    """Raises ValueError where a column is unknown, missing or of another type."""
    row = modernize(row)
    refuse_unknown_columns(row, Scheme)
    for one in row.get("handshakes", []):
        refuse_unknown_columns(one, Handshake)
    refuse_unknown_columns(row.get("remote", {}), Remote)
    if row.get("builder", "") not in BUILDERS:
        raise ValueError(f"there is no builder {row['builder']!r}: {', '.join(filter(None, BUILDERS))}")
    return msgspec.convert(row, Scheme, strict=True)


def split_alternatives(place: str) -> Iterator[tuple[str, str]]:
    """Kind and name of each alternative of a place, such as json:a|b|header:c; a kind counts until the next one."""
    kind = ""
    for text in place.split("|"):
        head, colon, rest = text.partition(":")
        if colon and head in KINDS:
            kind, text = head, rest
        yield kind, text


def modernize(row: Any) -> Any:
    """The row with the columns of today, where somebody wrote it for an earlier version."""
    row = dict(row)
    if isinstance(row.get("body"), str):
        row["body"] = [row["body"]]
    header, fields = row.pop("id_header", ""), row.pop("id_fields", [])
    if header or fields:
        places = [f"header:{header}"] * bool(header) + [f"json:{'|'.join(fields)}"] * bool(fields)
        row.setdefault("identity", ["|".join(places)])
    return row


def refuse_unknown_columns(row: Any, kind: type[Scheme] | type[Handshake] | type[Remote]) -> None:
    if unknown := [name for name in row if name not in kind.__dataclass_fields__]:
        raise ValueError(f"unknown column {', '.join(unknown)}")
