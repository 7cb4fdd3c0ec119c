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
SENDER = b"zyra-receiver-send"  # the user agent of our own `send` command


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
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
    _decoded: dict[tuple[str, ...], tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys' bytes; a secret that changed in its file is decoded once."""
        texts = tuple(value for secret in self.secrets for value in secret.values)
        if texts not in self._decoded:
            try:
                found = tuple(decode_key(self.scheme, text) for text in texts)
            except ValueError as error:  # a file was changed to what is no key: the last good ones go on
                log.error("source %s: the changed secret %s", self.name, error)
                found = next(iter(self._decoded.values()))
            self._decoded.clear()
            self._decoded[texts] = found
        return self._decoded[texts]

    def accept(self, delivery: Delivery, now: float) -> Accepted:
        """The event that the delivery tells. Raises BadSignature; nothing of the body is read before it holds."""
        verify(self.scheme, delivery, self.keys, now)
        seen = self.peek(delivery.body)
        kind = self.type(delivery, seen)
        told = header_text(delivery, self.scheme.id_header)
        name = told if 0 < len(told) <= LONGEST else self.payload_id(seen)
        labels = Labels(
            id=keys.event_id(int(now * 1000)),
            source=self.name,
            type=kind,
            received_at=int(now * 1000),
            delivery_id=name,
            origin="send" if header_text(delivery, "user-agent").encode().startswith(SENDER) else "delivery",
        )
        content = Content(
            body=delivery.body,
            headers=self.kept(delivery),
            format=self.scheme.body,
            resource=self.resource_id,
            doubt=self.doubt(kind, seen),
        )
        mark, window = self.mark(name, kind, delivery.body)
        return Accepted(event=Event(labels=labels, content=content), mark=mark, window=window)

    def mark(self, name: str, kind: str, body: bytes) -> tuple[str, float]:
        if name:
            return f"{self.name}:i:{hashlib.sha256(name.encode()).hexdigest()[:32]}", self.dedup_window
        digest = hashlib.sha256(b"\0".join([self.name.encode(), kind.encode(), body]))
        return f"{self.name}:d:{digest.hexdigest()[:32]}", self.digest_window

    @cached_property
    def peeker(self) -> msgspec.json.Decoder[Any] | None:
        """Reads the few top-level fields that are needed before the answer, and builds nothing else."""
        paths = [item.partition(":")[0] for item in self.id_fields]
        paths += [self.scheme.type_field] * bool(self.scheme.type_field) + list(self.scheme.type_echo)
        wanted = [(f"f{n}", msgspec.Raw, msgspec.Raw()) for n in range(len(set(paths)))]
        names = {f"f{n}": path for n, path in enumerate(dict.fromkeys(paths))}
        return msgspec.json.Decoder(msgspec.defstruct("Peek", wanted, rename=names)) if paths else None

    def peek(self, body: bytes) -> dict[str, str]:
        """Those of the wanted fields that hold text, where the body is an object at all."""
        if self.peeker is None:
            return {}
        try:
            found = self.peeker.decode(body)
            raws = {info.encode_name: getattr(found, info.name) for info in msgspec.structs.fields(found)}
            return {name: msgspec.json.decode(raw) for name, raw in raws.items() if bytes(raw)[:1] == b'"'}
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
        text = header_text(delivery, self.scheme.type_header) or seen.get(self.scheme.type_field, "")
        return text if len(text) <= LONGEST else ""

    def doubt(self, kind: str, seen: Mapping[str, str]) -> str:
        told = [seen[name] for name in self.scheme.type_echo if seen.get(name) in self.scheme.types]
        if not kind:
            return "no-type"
        return "type-mismatch" if self.check_type and any(text != kind for text in told) else ""

    def kept(self, delivery: Delivery) -> tuple[tuple[str, str], ...]:
        return tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in delivery.headers if n in self.wanted)

    @cached_property
    def wanted(self) -> frozenset[bytes]:
        scheme = self.scheme
        names = {"content-type", "user-agent", scheme.id_header, scheme.type_header, scheme.timestamp}
        return frozenset(name.encode() for name in (names | set(self.keep_headers)) - {""})


def header_text(delivery: Delivery, name: str) -> str:
    """An unsigned header's text; the first one, if it is ASCII."""
    if name:
        for key, value in delivery.headers:
            if key == name.encode():
                return value.decode() if value.isascii() else ""
    return ""
