"""Verifies the bytes as they came. Pure: bytes, headers, keys and the time go in; which key fitted comes out."""

import base64
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from .errors import BadSignature
from .schemes import Scheme

CANDIDATES = 20  # signatures looked at in one header: a long list must not become work


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request to an endpoint, not trusted. Header names are in lower case, as ASGI gives them."""

    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> bytes:
        """The value, or b"". Raises BadSignature where it stands twice (readers might differ) or is not ASCII."""
        wanted = name.encode()
        values = [value for key, value in self.headers if key == wanted]
        if len(values) > 1:
            raise BadSignature("repeated")
        value = values[0] if values else b""
        if not value.isascii():
            raise BadSignature("malformed")
        return value


def verify(scheme: Scheme, delivery: Delivery, keys: Sequence[bytes], now: float) -> int:
    """The position of the key that fits. Raises BadSignature: missing, repeated, malformed, stale or wrong."""
    value = delivery.header(scheme.header)
    if not value:
        raise BadSignature("missing")
    candidates = split(scheme, value)
    stamp = timestamp(scheme, delivery, now)
    text = signed(scheme, delivery, stamp)
    for position, key in enumerate(keys):
        expected = encode(scheme, hmac.digest(key, text, scheme.digest))
        if any(hmac.compare_digest(expected, candidate) for candidate in candidates):
            return position
    raise BadSignature("wrong")


def split(scheme: Scheme, value: bytes) -> list[bytes]:
    """The digests in a signature header, of the version the scheme names."""
    if scheme.version:
        pairs = [item.partition(b",") for item in value.split(b" ")[:CANDIDATES]]
        found = [digest for version, _, digest in pairs if version == scheme.version.encode()]
    else:
        prefix = scheme.prefix.encode()
        found = [value[len(prefix) :]] if value.startswith(prefix) else []
    length = len(encode(scheme, bytes(hashlib.new(scheme.digest).digest_size)))
    if not found or any(len(digest) != length for digest in found):
        raise BadSignature("malformed")
    return found


def timestamp(scheme: Scheme, delivery: Delivery, now: float) -> bytes:
    """The timestamp's text as it was signed, or b"" where the scheme has none."""
    if not scheme.timestamp:
        return b""
    text = delivery.header(scheme.timestamp)
    if not text:
        raise BadSignature("missing")
    if not text.isdigit() or len(text) > 12:
        raise BadSignature("malformed")
    if abs(now - int(text)) > scheme.tolerance:
        raise BadSignature("stale")
    return text


def signed(scheme: Scheme, delivery: Delivery, stamp: bytes) -> bytes:
    return b"".join([part(delivery, stamp) for part in compiled(scheme)])


@cache
def compiled(scheme: Scheme) -> tuple[Callable[[Delivery, bytes], bytes], ...]:
    """The scheme's parts as functions of a delivery and its timestamp."""
    return tuple(compile_part(part) for part in scheme.parts)


def compile_part(part: str) -> Callable[[Delivery, bytes], bytes]:
    if part == "{body}":
        return lambda delivery, _: delivery.body
    if part == "{timestamp}":
        return lambda _, stamp: stamp
    if part.startswith("{header."):
        name = part[len("{header.") : -1]
        return lambda delivery, _: identifier(delivery, name)
    literal = part.encode()
    return lambda *_: literal


def identifier(delivery: Delivery, name: str) -> bytes:
    """A signed header. A dot would let the border between id and timestamp move, so the specification forbids it."""
    value = delivery.header(name)
    if not value:
        raise BadSignature("missing")
    if b"." in value:
        raise BadSignature("malformed")
    return value


def encode(scheme: Scheme, digest: bytes) -> bytes:
    return base64.b64encode(digest) if scheme.encoding == "base64" else digest.hex().encode()


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
    text = signed(scheme, delivery, headers.get(scheme.timestamp, "").encode())
    digest = encode(scheme, hmac.digest(key, text, scheme.digest)).decode()
    headers[scheme.header] = f"{scheme.version},{digest}" if scheme.version else scheme.prefix + digest
    return headers
