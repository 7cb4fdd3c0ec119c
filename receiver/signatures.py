"""Verifies the bytes as they came. Pure: bytes, headers, keys and the time go in; which key fitted comes out."""

import base64
import hashlib
import hmac
from binascii import hexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from .errors import BadSignature
from .schemes import Scheme

CANDIDATES = 20  # signatures looked at in one header: a long list must not become work


class Delivery:
    """One HTTP request to an endpoint, not trusted. Header names are in lower case, as ASGI gives them."""

    __slots__ = ("_first", "body", "headers")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self._first = dict(headers[::-1])

    def header(self, name: bytes) -> bytes:
        """The value, or b"". Raises BadSignature where it stands twice (readers might differ) or is not ASCII."""
        if len(self._first) != len(self.headers) and sum(key == name for key, _ in self.headers) > 1:
            raise BadSignature("repeated")
        value = self._first.get(name, b"")
        if not value.isascii():
            raise BadSignature("malformed")
        return value

    def text(self, name: bytes) -> str:
        """An unsigned header's text, or ""; the first one's, if it is ASCII."""
        value = self._first.get(name, b"")
        return value.decode() if value.isascii() else ""


Part = Callable[[Delivery, bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A scheme as its verification wants it: bytes, and functions of a delivery and its timestamp."""

    header: bytes
    timestamp: bytes
    prefix: bytes
    version: bytes
    length: int  # of an encoded digest
    encode: Callable[[bytes], bytes]
    parts: tuple[Part, ...]


@cache
def compiled(scheme: Scheme) -> Compiled:
    return Compiled(
        header=scheme.header.encode(),
        timestamp=scheme.timestamp.encode(),
        prefix=scheme.prefix.encode(),
        version=scheme.version.encode(),
        length=len(encoder(scheme)(bytes(hashlib.new(scheme.digest).digest_size))),
        encode=encoder(scheme),
        parts=tuple(compile_part(part) for part in scheme.parts),
    )


def verify(scheme: Scheme, delivery: Delivery, keys: Sequence[bytes], now: float) -> int:
    """The position of the key that fits. Raises BadSignature: missing, repeated, malformed, stale or wrong."""
    how = compiled(scheme)
    value = delivery.header(how.header)
    if not value:
        raise BadSignature("missing")
    candidates = split(how, value)
    stamp = timestamp(how, delivery, now, scheme.tolerance)
    text = signed(how, delivery, stamp)
    for position, key in enumerate(keys):
        expected = how.encode(hmac.digest(key, text, scheme.digest))
        for candidate in candidates:
            if hmac.compare_digest(expected, candidate):
                return position
    raise BadSignature("wrong")


def split(how: Compiled, value: bytes) -> list[bytes]:
    """The digests in a signature header, of the version the scheme names."""
    if how.version:
        pairs = [item.partition(b",") for item in value.split(b" ")[:CANDIDATES]]
        found = [digest for version, _, digest in pairs if version == how.version]
    else:
        found = [value[len(how.prefix) :]] if value.startswith(how.prefix) else []
    if not found or [digest for digest in found if len(digest) != how.length]:
        raise BadSignature("malformed")
    return found


def timestamp(how: Compiled, delivery: Delivery, now: float, tolerance: int) -> bytes:
    """The timestamp's text as it was signed, or b"" where the scheme has none."""
    if not how.timestamp:
        return b""
    text = delivery.header(how.timestamp)
    if not text:
        raise BadSignature("missing")
    if not text.isdigit() or len(text) > 12:
        raise BadSignature("malformed")
    if abs(now - int(text)) > tolerance:
        raise BadSignature("stale")
    return text


def signed(how: Compiled, delivery: Delivery, stamp: bytes) -> bytes:
    return b"".join([part(delivery, stamp) for part in how.parts])


def compile_part(part: str) -> Part:
    if part == "{body}":
        return lambda delivery, _: delivery.body
    if part == "{timestamp}":
        return lambda _, stamp: stamp
    if part.startswith("{header."):
        name = part[len("{header.") : -1].encode()
        return lambda delivery, _: identifier(delivery, name)
    literal = part.encode()
    return lambda *_: literal


def identifier(delivery: Delivery, name: bytes) -> bytes:
    """A signed header. A dot would let the border between id and timestamp move, so the specification forbids it."""
    value = delivery.header(name)
    if not value:
        raise BadSignature("missing")
    if b"." in value:
        raise BadSignature("malformed")
    return value


def encoder(scheme: Scheme) -> Callable[[bytes], bytes]:
    return base64.b64encode if scheme.encoding == "base64" else hexlify


def decode_key(scheme: Scheme, secret: str) -> bytes:
    """The key's bytes as the provider means them. Raises ValueError, with no part of the secret in it."""
    if scheme.key == "text":
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise ValueError("is not base64, with or without whsec_ before it") from None
    if not key:
        raise ValueError("is empty")
    return key


def sign(scheme: Scheme, key: bytes, body: bytes, event_type: str, event: str, now: float) -> dict[str, str]:
    """The headers that make a delivery of this body valid: what `zyra-receiver send` posts."""
    headers = {"content-type": "application/json"}
    if scheme.timestamp:
        headers[scheme.timestamp] = str(int(now))
    if scheme.id_header:
        headers[scheme.id_header] = event
    if scheme.type_header:
        headers[scheme.type_header] = event_type
    delivery = Delivery([(name.encode(), value.encode()) for name, value in headers.items()], body)
    how = compiled(scheme)
    text = signed(how, delivery, headers.get(scheme.timestamp, "").encode())
    digest = how.encode(hmac.digest(key, text, scheme.digest)).decode()
    headers[scheme.header] = f"{scheme.version},{digest}" if scheme.version else scheme.prefix + digest
    return headers
