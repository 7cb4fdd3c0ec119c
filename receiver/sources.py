"""Whom we listen to, and the one door into trust: only `Source.accept` turns a delivery into an event."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from .contract import keys
from .contract.errors import ConfigurationError
from .contract.records import Content, Event, Labels
from .contract.secrets import Secret
from .delivery import Delivery, place, steps
from .errors import BadSignature, Unavailable
from .handshakes import Answer, answered, asked, methods
from .schemes import Handshake, Scheme
from .signatures import Key, decode_key, verify

log = logging.getLogger(__name__)
LONGEST = 250  # characters of an id or type that the ledger keeps
UNTYPED = "event"  # the type of events whose provider names none
SENDER = "zyra-receiver-send"  # the user agent of our own `send` command


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event, and the mark under which its redeliveries are known."""

    event: Event
    mark: str
    window: float  # seconds the mark lives; 0: no mark
    bytes_mark: str = ""  # where the id is not signed: the same bytes under another id are known by this
    once: bool = False  # whether those are not to run again


@dataclass(frozen=True, kw_only=True)
class Source:
    name: str
    scheme: Scheme
    secrets: tuple[Secret, ...]
    keep_headers: tuple[str, ...] = ()
    success_status: int = 202
    public_url: str = ""  # as the provider calls it, without a query
    dedup_window: float = 7 * 86400.0
    digest_window: float = 300.0
    id_fields: tuple[str, ...] = ()
    resource_id: tuple[str, ...] = ()
    check_type: bool = True
    repeats: str = "accept"  # of signed bytes under a new id: accept, and mark; or duplicate
    credential: Secret | None = None  # what the provider wants to see when its keys are fetched
    capture: bool = False  # whether refused bodies are kept for a while, for `events explain`
    uses: dict[int, int] = field(default_factory=dict, repr=False)  # by position of the key, since last asked
    previous: dict[str, None] = field(default_factory=dict, repr=False)  # secrets that its files held before
    _decoded: dict[tuple[tuple[str, ...], ...], tuple[Key, ...]] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys; a secret that changed in its file is decoded once."""
        texts = tuple([secret.values for secret in self.secrets])
        if texts not in self._decoded:
            try:
                found = tuple(decode_key(self.scheme, text) for values in texts for text in values)
            except ValueError as error:  # a file was changed to what is no key: the last good ones go on
                log.error("source %s: the changed secret %s", self.name, error)
                found = next(iter(self._decoded.values()))
            for gone in [text for values in next(iter(self._decoded), ()) for text in values]:
                self.previous[gone] = None
            self._decoded.clear()
            self._decoded[texts] = found
        return self._decoded[texts]

    def texts(self) -> list[tuple[str, str]]:
        """Where each secret comes from, and its text, in the order of `keys`."""
        return [(f"{secret.name} {n}", text) for secret in self.secrets for n, text in enumerate(secret.values, 1)]

    def asked(self, delivery: Delivery) -> Handshake | None:
        """The challenge or ping that the delivery is, if it is one."""
        return asked(self.scheme, delivery)

    def answer(self, handshake: Handshake, delivery: Delivery, now: float, fetched: Sequence[Key] = ()) -> Answer:
        """Raises BadSignature, and Unavailable where a secret that was told cannot be kept."""
        found = answered(self.scheme, handshake, delivery, fetched or self.keys, now)
        try:
            if found.learned and not any(secret.learn(found.learned) for secret in self.secrets):
                raise BadSignature("not-waiting")
        except ConfigurationError as error:
            log.error("source %s: the provider told its secret, and %s", self.name, error)
            raise Unavailable("secret-file") from None
        return found

    def accept(self, delivery: Delivery, now: float, fetched: Sequence[Key] = ()) -> Accepted:
        """The event that the delivery tells. Raises BadSignature; nothing of the body is read before it holds.

        fetched: the provider's own keys, of a source that fetches them.
        """
        position = verify(self.scheme, delivery, fetched or self.keys, now)
        self.uses[position] = self.uses.get(position, 0) + 1
        names, moment = self.names, int(now * 1000)
        seen = self.peek(delivery.body)
        kind = self.type(delivery, seen)
        told = delivery.text(names.id) or (delivery.text(names.other_id) if names.other_id else "")
        name = told if 0 < len(told) <= LONGEST else self.payload_id(seen)
        labels = Labels(
            id=keys.event_id(moment),
            source=self.name,
            type=kind,
            received_at=moment,
            delivery_id=name,
            origin="send" if delivery.text(b"user-agent").startswith(SENDER) else "delivery",
        )
        content = Content(
            body=delivery.body,
            headers=tuple([(names.kept[n], v.decode("latin-1")) for n, v in delivery.headers if n in names.kept]),
            format=self.scheme.body,
            resource=self.resource_id,
            doubt=self.doubt(kind, seen),
        )
        event = Event(labels=labels, content=content)
        mark, window = self.mark(name, kind, delivery.body)
        if not told or self.id_signed:
            return Accepted(event, mark, window)
        bytes_mark = f"{self.name}:b:{hashlib.sha256(delivery.body).hexdigest()[:32]}"
        return Accepted(event, mark, window, bytes_mark, self.repeats == "duplicate")

    def mark(self, name: str, kind: str, body: bytes) -> tuple[str, float]:
        if name:
            return f"{self.name}:i:{hashlib.sha256(name.encode()).hexdigest()[:32]}", self.dedup_window
        digest = hashlib.sha256(b"\0".join([self.name.encode(), kind.encode(), body]))
        return f"{self.name}:d:{digest.hexdigest()[:32]}", self.digest_window

    @cached_property
    def fetches(self) -> bool:
        """Whether the provider's keys are fetched, since none are given."""
        return self.scheme.remote is not None and not self.secrets

    @cached_property
    def id_signed(self) -> bool:
        """Whether nobody who has captured a delivery can give it another id."""
        return f"{{header:{self.scheme.id_header}}}" in self.scheme.signed or not self.scheme.id_header

    @cached_property
    def methods(self) -> frozenset[str]:
        """Methods of requests that are no deliveries."""
        return methods(self.scheme)

    @cached_property
    def names(self) -> "Names":
        return Names(self)

    def peek(self, body: bytes) -> dict[str, str]:
        """Those of the wanted fields that hold text, where the body has them at all."""
        if self.names.peeker is None:
            return {}
        try:
            return self.names.peek(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            return {}  # dispatch will say what is wrong with it

    def payload_id(self, seen: Mapping[str, str]) -> str:
        for item in self.id_fields:
            path, _, beginning = item.partition(":")
            if (value := seen.get(path, "")) and value.startswith(beginning) and len(value) <= LONGEST:
                return value
        return ""

    def type(self, delivery: Delivery, seen: Mapping[str, str]) -> str:
        """The type, or "" where the delivery has none that could be one: dispatch then calls it unreadable."""
        if self.names.type_header:
            text = delivery.text(self.names.type_header)
        else:
            told = [seen.get(path, "") if path else self._told(delivery, name) for name, path in self.names.types]
            text = ".".join(filter(None, told)) if self.names.types else UNTYPED
        return text if len(text) <= LONGEST else ""

    def _told(self, delivery: Delivery, name: str) -> str:
        try:
            return place(name)(delivery).decode("utf-8", "replace")
        except BadSignature:  # the delivery is the provider's; its type is not readable
            return ""

    def doubt(self, kind: str, seen: Mapping[str, str]) -> str:
        if not kind:
            return "no-type"
        told = [seen[name] for name in self.scheme.type_echo if seen.get(name) in self.scheme.types]
        return "type-mismatch" if self.check_type and any(text != kind for text in told) else ""


class Names:
    """The names of headers and fields that a source looks for, as the hot path wants them."""

    def __init__(self, source: Source) -> None:
        scheme = source.scheme
        self.id, _, self.other_id = scheme.id_header.encode().partition(b"|")
        stamp = scheme.timestamp.removeprefix("header:") if scheme.timestamp.startswith("header:") else ""
        types = [name.removeprefix("header:") for name in scheme.type if name.startswith("header:")]
        kept = {
            "content-type",
            "user-agent",
            *scheme.id_header.split("|"),
            *types,
            *stamp.split("|"),
            *source.keep_headers,
        }
        self.kept = {name.encode(): name for name in kept - {""}}
        self.type_header = types[0].encode() if len(types) == len(scheme.type) == 1 else b""
        self.types = [(name, name[5:] if name.startswith("json:") else "") for name in scheme.type]
        paths = [item.partition(":")[0] for item in source.id_fields]
        paths += [path for _, path in self.types if path] + list(scheme.type_echo)
        self.paths = [(path, *path.split(".")) for path in dict.fromkeys(paths)]
        self.peeker = self._peeker() if paths else None

    def _peeker(self) -> msgspec.json.Decoder[Any]:
        """Reads the few top-level fields that are needed before the answer, and builds nothing else."""
        if any(top.isdigit() for _, top, *_ in self.paths):
            return msgspec.json.Decoder(list[msgspec.Raw])
        tops = list(dict.fromkeys(top for _, top, *_ in self.paths))
        wanted = [(f"f{number}", msgspec.Raw, msgspec.Raw()) for number in range(len(tops))]
        self.at = {top: f"f{number}" for number, top in enumerate(tops)}
        return msgspec.json.Decoder(
            msgspec.defstruct("Peek", wanted, rename={f"f{n}": top for n, top in enumerate(tops)})
        )

    def peek(self, body: bytes) -> dict[str, str]:
        """Text by path. Raises what msgspec raises."""
        assert self.peeker
        found, seen = self.peeker.decode(body), {}
        for path, top, *rest in self.paths:
            if isinstance(found, list):
                raw = found[0] if top == "0" and found else msgspec.Raw()
            else:
                raw = getattr(found, self.at[top])
            if rest:
                value = steps([msgspec.json.decode(raw)], rest)[0] if bytes(raw)[:1] in (b"{", b"[") else None
            else:
                value = msgspec.json.decode(raw) if bytes(raw)[:1] == b'"' else None
            if isinstance(value, str):
                seen[path] = value
        return seen
