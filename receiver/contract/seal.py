"""The seal: AES-256-GCM over body and kept headers, with the event's labels as associated data.

Sealed: 12 bytes of random nonce, then the ciphertext. Plain: 4 bytes of length, as many bytes of JSON, the body.
"""

import base64
import hashlib
import hmac
import logging
import os
from functools import cached_property, lru_cache

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .errors import Altered, ConfigurationError, UnknownKey
from .records import Content, EventRecord, Labels
from .secrets import Secret

log = logging.getLogger(__name__)
SEAL_FORMAT = 1
encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Content).decode


class Seal:
    """Seals with the first key and opens with every key. A changed key file counts at once.

    What one queue's seal closed, another's does not open: a copy of a record in another ledger does not run.
    Raises ConfigurationError where a key is none; one that becomes none later leaves the last good ones.
    """

    def __init__(self, secret: Secret, queue: str = "") -> None:
        self._secret = secret
        self._queue = queue
        self._values = secret.values
        self._ciphers = make_ciphers(self._values)

    @cached_property
    def of_all_queues(self) -> "Seal":
        """For what the workers of all queues share."""
        return Seal(self._secret)

    @property
    def ciphers(self) -> dict[str, AESGCM]:
        if (values := self._secret.values) != self._values:
            self._values = values
            try:
                self._ciphers = make_ciphers(values)
            except ConfigurationError as error:
                log.error("the changed SEAL_KEY is not used: %s", error)
        return self._ciphers

    def close(self, event: EventRecord) -> tuple[str, bytes]:
        """The id of the key that was used, and the sealed bytes."""
        name, cipher = next(iter(self.ciphers.items()))
        nonce = os.urandom(12)
        return name, nonce + cipher.encrypt(nonce, pack(event.content), bind_labels(name, self._queue, event.labels))

    def wrap(self, name: str, data: bytes) -> bytes:
        """Sealed bytes that open under this name only: key id, nonce, ciphertext."""
        key, cipher = next(iter(self.ciphers.items()))
        nonce = os.urandom(12)
        return key.encode() + nonce + cipher.encrypt(nonce, data, bind_name(key, self._queue, name))

    @property
    def first_key(self) -> str:
        """The id of the key that seals."""
        return next(iter(self.ciphers))

    def rewrap(self, name: str, sealed: bytes) -> bytes:
        """The same under the first key. Raises what `unwrap` raises."""
        return self.wrap(name, self.unwrap(name, sealed))

    def unwrap(self, name: str, sealed: bytes) -> bytes:
        """Raises UnknownKey, or Altered where the bytes are not those that were sealed under this name."""
        key = sealed[:8].decode("ascii", "replace")
        cipher = self.ciphers.get(key)
        if cipher is None:
            raise UnknownKey(f"sealed with key {key!r}, which SEAL_KEY does not hold")
        try:
            return cipher.decrypt(sealed[8:20], sealed[20:], bind_name(key, self._queue, name))
        except (InvalidTag, ValueError):
            raise Altered(f"{name} is not what was sealed") from None

    def fingerprint(self, data: bytes) -> str:
        """A keyed digest by which only equal and different can be told apart."""
        return hmac.digest(derive_fingerprint_key(self._secret.values[0]), data, "sha256").hex()[:16]

    def compute_index_digest(self, data: bytes) -> str:
        """A keyed digest for the blind index, of 16 hex digits, under the first key."""
        return digest_for_index(self._secret.values[0], data)

    def list_index_digests(self, data: bytes) -> list[str]:
        """Its digests under each key of SEAL_KEY."""
        return [digest_for_index(value, data) for value in self._secret.values]

    def open(self, key: str, labels: Labels, sealed: bytes) -> EventRecord:
        """The event. Raises UnknownKey, or Altered where bytes or labels are not the sealed ones."""
        cipher = self.ciphers.get(key)
        if cipher is None:
            raise UnknownKey(f"sealed with key {key[:16]!r}, which SEAL_KEY does not hold")
        try:
            plain = cipher.decrypt(sealed[:12], sealed[12:], bind_labels(key, self._queue, labels))
        except (InvalidTag, ValueError):
            raise Altered("the event's body or labels are not the ones that were sealed") from None
        return EventRecord(labels=labels, content=unpack(plain))


def make_ciphers(values: tuple[str, ...]) -> dict[str, AESGCM]:
    return {compute_key_id(raw): AESGCM(raw) for raw in map(parse_key, values)}


@lru_cache(maxsize=8)
def derive_fingerprint_key(value: str) -> bytes:
    return hashlib.sha256(b"zr:fingerprint:" + parse_key(value)).digest()


def digest_for_index(key: str, data: bytes) -> str:
    return hmac.digest(derive_index_key(key), data, "sha256").hex()[:16]


@lru_cache(maxsize=16)
def derive_index_key(key: str) -> bytes:
    return hashlib.sha256(b"zr:find:" + parse_key(key)).digest()


def bind_labels(key: str, queue: str, labels: Labels) -> bytes:
    return encode((SEAL_FORMAT, key, queue, labels))


def bind_name(key: str, queue: str, name: str) -> bytes:
    """Associated data of `wrap`. It never equals that of `bind_labels`, which ends with an object."""
    return encode((SEAL_FORMAT, key, queue, name))


def pack(content: Content) -> bytes:
    text = encode(msgspec.structs.replace(content, body=b""))
    return b"".join((len(text).to_bytes(4, "big"), text, content.body))


def unpack(plain: bytes) -> Content:
    end = 4 + int.from_bytes(plain[:4], "big")
    return msgspec.structs.replace(decode(plain[4:end]), body=plain[end:])


def parse_key(text: str) -> bytes:
    """32 bytes from hex or base64; raises ConfigurationError where they are not, or are plainly no random key."""
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        try:
            raw = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            raw = b""
    if len(raw) != 32:
        raise ConfigurationError(["SEAL_KEY must be 32 bytes in hex or base64: `openssl rand -hex 32` makes one"])
    if len(set(raw)) < 8:
        raise ConfigurationError(["SEAL_KEY is weak, too few different bytes: `openssl rand -hex 32` makes a good one"])
    return raw


def compute_key_id(raw: bytes) -> str:
    return hashlib.sha256(b"zr:seal:" + raw).hexdigest()[:8]
