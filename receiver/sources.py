"""Whom we listen to, and the one door into trust: only `Source.accept` turns a delivery into an event."""

import hashlib
import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from .contract import keys, secrets
from .contract.errors import ConfigurationError
from .contract.records import Content, Event, Labels
from .contract.secrets import Secret
from .contract.settings import seconds
from .schemes import Scheme, table
from .signatures import Delivery, decode_key, verify

log = logging.getLogger(__name__)
FIELD = re.compile("[A-Za-z0-9_$-]+(:[A-Za-z0-9_-]+)?")
PATH = re.compile(r"(?:[A-Za-z0-9_$.-]|\{resource\})+")
NAME = re.compile("[A-Za-z0-9_-]{1,64}")
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
                return storable(value)
        return ""

    def type(self, delivery: Delivery, seen: Mapping[str, str]) -> str:
        """The type, or "" where the delivery has none that could be one: dispatch then calls it unreadable."""
        text = header_text(delivery, self.scheme.type_header) or seen.get(self.scheme.type_field, "")
        return storable(text) if len(text) <= LONGEST else ""

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


def storable(text: str) -> str:
    """The text without what UTF-8 cannot hold, such as half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def load(env: Mapping[str, str], faults: list[str]) -> dict[str, Source]:
    """The sources by name. Without a configuration file ZYRA_WEBHOOK_SECRET alone defines the source zyra."""
    path = env.get("RECEIVER_CONFIG")
    if path is None:
        rows: dict[str, Any] = {"zyra": {"scheme": "zyra", "secrets": ["env:ZYRA_WEBHOOK_SECRET"]}}
    else:
        try:
            document = tomllib.loads(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            faults.append(f"RECEIVER_CONFIG: cannot read {path}: {error}")
            return {}
        faults += [f"{path}: unknown key {key!r}" for key in document if key != "sources"]
        found = document.get("sources")
        if not isinstance(found, dict) or found == {}:
            faults.append(f"{path}: no source: add [sources.zyra] with scheme and secrets")
            return {}
        rows = found
    made = [source(name, row, env, faults) for name, row in rows.items()]
    return {item.name: item for item in made if item is not None}


def source(name: str, row: object, env: Mapping[str, str], faults: list[str]) -> Source | None:
    """One source from its row, or None with its faults named."""
    where = f"source {name!r}"
    mine: list[str] = []
    if not isinstance(row, dict) or not NAME.fullmatch(name):
        faults.append(f"{where}: must be a table with a name of letters, digits, - and _")
        return None
    mine += [f"{where}: unknown key {key!r}" for key in row if key not in {"scheme", "secrets", *PARSERS}]
    scheme = table().get(str(row.get("scheme")))
    if scheme is None:
        faults += [*mine, f"{where}: scheme must be one of {', '.join(table())}"]
        return None
    options: dict[str, Any] = {"id_fields": scheme.id_fields}
    for key, parse in PARSERS.items():
        if key in row:
            try:
                options[key] = parse(row[key])
            except (ValueError, TypeError) as error:
                mine.append(f"{where}: {key} {error}")
    scheme = replace(scheme, tolerance=options.pop("tolerance", scheme.tolerance))
    found = resolve(where, row.get("secrets"), scheme, env, mine)
    faults += mine
    return Source(name=name, scheme=scheme, secrets=found, **options) if not mine else None


def resolve(where: str, items: object, scheme: Scheme, env: Mapping[str, str], faults: list[str]) -> tuple[Secret, ...]:
    """The secrets that the references name; each must be a key that the scheme can use."""
    if not isinstance(items, list) or not items:
        faults.append(f'{where}: secrets must be a list such as ["env:ZYRA_WEBHOOK_SECRET"]')
        return ()
    found = []
    for item in items:
        try:
            secret = reference(where, item, env)
            for value in secret.values:
                decode_key(scheme, value)
            found.append(secret)
        except ConfigurationError as error:
            faults += [f"{where}: {fault}" for fault in error.faults]
        except ValueError as error:
            faults.append(f"{where}: the secret {item} {error}")
    return tuple(found)


def reference(where: str, item: object, env: Mapping[str, str]) -> Secret:
    kind, _, rest = str(item).partition(":")
    if kind == "file" and rest:
        return Secret(rest, None, Path(rest))
    if kind != "env" or not rest:
        raise ConfigurationError(["a secret must be env:NAME or file:/path, never the secret itself"])
    secret = secrets.read(env, rest)
    if secret is None:
        raise ConfigurationError([f"{rest} is not set: give it, or {rest}_FILE, the provider's signing secret"])
    return secret


def names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("must be a list of names")
    return tuple(value)


def fields(value: object) -> tuple[str, ...]:
    found = names(value)
    if not all(FIELD.fullmatch(name) for name in found):
        raise ValueError("must name fields of letters, digits, _, - and $, such as event_id or id:evt")
    return found


def paths(value: object) -> tuple[str, ...]:
    found = names(value)
    if not all(PATH.fullmatch(path) for path in found):
        raise ValueError("must be paths such as data.id or data.{resource}_id")
    return found


def headers(value: object) -> tuple[str, ...]:
    found = tuple(name.lower() for name in names(value))
    secret = [name for name in found if name in ("authorization", "cookie") or "signature" in name or "token" in name]
    if secret:
        raise ValueError(f"must not name {', '.join(secret)}: credentials are not kept")
    return found


def status(value: object) -> int:
    if type(value) is not int or value not in (200, 201, 202, 204):
        raise ValueError("must be 200, 201, 202 or 204")
    return value


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def tolerance(value: object) -> int:
    if type(value) is not int or not 0 < value <= 86400:
        raise ValueError("must be seconds, from 1 to 86400")
    return value


def duration(value: object) -> float:
    return seconds(str(value))


PARSERS = {
    "keep_headers": headers,
    "success_status": status,
    "dedup_window": duration,
    "digest_window": duration,
    "id_fields": fields,
    "resource_id": paths,
    "check_type": flag,
    "tolerance": tolerance,
}
