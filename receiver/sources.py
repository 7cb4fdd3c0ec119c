"""Whom we listen to, and the one door into trust: only `Source.accept` turns a delivery into an event."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from .contract import keys
from .contract.records import Content, Event, Labels
from .contract.secrets import Secret
from .schemes import Scheme
from .signatures import Delivery, decode_key, verify

log = logging.getLogger(__name__)
LONGEST = 250  # characters of an id or type that the ledger keeps
SENDER = "zyra-receiver-send"  # the user agent of our own `send` command


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event, and the mark under which its redeliveries are known."""

    event: Event
    mark: str
    window: float  # seconds the mark lives; 0: no mark


@dataclass(frozen=True, kw_only=True)
class Source:
    name: str
    scheme: Scheme
    secrets: tuple[Secret, ...]
    keep_headers: tuple[str, ...] = ()
    success_status: int = 202
    dedup_window: float = 7 * 86400.0
    digest_window: float = 300.0
    id_fields: tuple[str, ...] = ()
    resource_id: tuple[str, ...] = ()
    check_type: bool = True
    _decoded: dict[tuple[tuple[str, ...], ...], tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys' bytes; a secret that changed in its file is decoded once."""
        texts = tuple([secret.values for secret in self.secrets])
        if texts not in self._decoded:
            try:
                found = tuple(decode_key(self.scheme, text) for values in texts for text in values)
            except ValueError as error:  # a file was changed to what is no key: the last good ones go on
                log.error("source %s: the changed secret %s", self.name, error)
                found = next(iter(self._decoded.values()))
            self._decoded.clear()
            self._decoded[texts] = found
        return self._decoded[texts]

    def accept(self, delivery: Delivery, now: float) -> Accepted:
        """The event that the delivery tells. Raises BadSignature; nothing of the body is read before it holds."""
        verify(self.scheme, delivery, self.keys, now)
        names, moment = self.names, int(now * 1000)
        seen = self.peek(delivery.body)
        kind = self.type(delivery, seen)
        told = delivery.text(names.id)
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
        mark, window = self.mark(name, kind, delivery.body)
        return Accepted(Event(labels=labels, content=content), mark, window)

    def mark(self, name: str, kind: str, body: bytes) -> tuple[str, float]:
        if name:
            return f"{self.name}:i:{hashlib.sha256(name.encode()).hexdigest()[:32]}", self.dedup_window
        digest = hashlib.sha256(b"\0".join([self.name.encode(), kind.encode(), body]))
        return f"{self.name}:d:{digest.hexdigest()[:32]}", self.digest_window

    @cached_property
    def names(self) -> "Names":
        return Names(self)

    def peek(self, body: bytes) -> dict[str, str]:
        """Those of the wanted fields that hold text, where the body is an object at all."""
        if self.names.peeker is None:
            return {}
        try:
            found = self.names.peeker.decode(body)
            raws = [(path, getattr(found, attribute)) for attribute, path in self.names.peeked]
            return {path: msgspec.json.decode(raw) for path, raw in raws if bytes(raw)[:1] == b'"'}
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
        text = delivery.text(self.names.type) or seen.get(self.scheme.type_field, "")
        return text if len(text) <= LONGEST else ""

    def doubt(self, kind: str, seen: Mapping[str, str]) -> str:
        if not kind:
            return "no-type"
        told = [seen[name] for name in self.scheme.type_echo if seen.get(name) in self.scheme.types]
        return "type-mismatch" if self.check_type and any(text != kind for text in told) else ""


class Names:
    """The names of headers and fields that a source looks for, as the hot path wants them."""

    def __init__(self, source: Source) -> None:
        scheme = source.scheme
        self.id = scheme.id_header.encode()
        self.type = scheme.type_header.encode()
        kept = {"content-type", "user-agent", scheme.id_header, scheme.type_header, scheme.timestamp}
        self.kept = {name.encode(): name for name in (kept | set(source.keep_headers)) - {""}}
        paths = [item.partition(":")[0] for item in source.id_fields]
        paths += [scheme.type_field] * bool(scheme.type_field) + list(scheme.type_echo)
        self.peeked = [(f"f{number}", path) for number, path in enumerate(dict.fromkeys(paths))]
        self.peeker = self._peeker() if paths else None

    def _peeker(self) -> msgspec.json.Decoder[Any]:
        """Reads the few top-level fields that are needed before the answer, and builds nothing else."""
        wanted = [(attribute, msgspec.Raw, msgspec.Raw()) for attribute, _ in self.peeked]
        return msgspec.json.Decoder(msgspec.defstruct("Peek", wanted, rename=dict(self.peeked)))
