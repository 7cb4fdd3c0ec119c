"""Verifies the bytes as they came. Pure: a delivery, keys and the time go in; which key fitted comes out.

The engine for a MAC, a signature or a plain digest over a list of parts is here; tokens, JSON Web Tokens and HTTP
message signatures have files of their own. Hostile input raises BadSignature and nothing else.
"""

import base64
import contextlib
import hashlib
import hmac
import re
from binascii import hexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import msgspec

from ..delivery import Delivery, Place, compile_place
from ..errors import BadSignature
from ..schemes import Remote, Scheme
from . import template
from .builders import BUILDERS, SignedText
from .header import SignatureReader, TimestampReader
from .keys import CHECKS, Jwks, decode_signature, parse_public_key, parse_text_key

Key = Any  # bytes of a secret, or a public key


class Verifier(Protocol):
    def verify(self, delivery: Delivery, keys: Sequence[Key], now: float) -> int:
        """The position of the key that fits. Raises BadSignature."""

    def build_content(self, delivery: Delivery) -> bytes:
        """What is signed, without time and key; the body where nothing says it better. Raises BadSignature."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key that counts only where the delivery names it."""

    id: bytes
    key: Key


@dataclass(frozen=True, slots=True)
class EitherKey:
    """The keys that one secret may stand for."""

    keys: tuple[bytes, ...]


def verify(scheme: Scheme, delivery: Delivery, keys: Sequence[Key], now: float) -> int:
    """The position of the key that fits. Raises BadSignature: missing, repeated, malformed, stale or wrong."""
    return compile_scheme(scheme).verify(delivery, keys, now)


class Proof(msgspec.Struct, frozen=True, gc=False):
    """That a key fits a delivery. Made by `prove` alone; what trusts a delivery asks for it."""

    delivery: Delivery
    key: Key
    position: int  # of the key among those that were tried


def prove(scheme: Scheme, delivery: Delivery, keys: Sequence[Key], now: float) -> Proof:
    """Verifies a delivery, and says with which key. Raises BadSignature, as `verify` does."""
    position = compile_scheme(scheme).verify(delivery, keys, now)
    return Proof(delivery, keys[position], position)


def read_signed_content(scheme: Scheme, delivery: Delivery) -> bytes:
    """What the signature of a verified delivery covers, without its time, where that is not the body; else the body."""
    try:
        return compile_scheme(scheme).build_content(delivery)
    except BadSignature:  # another group of the value was the one that fitted
        return delivery.body


def build_verifier(scheme: Scheme) -> Verifier:
    """Raises ValueError where the row makes no sense."""
    from . import jws, rfc9421, token

    if scheme.ours and scheme.family != "parts":
        raise ValueError("`ours` is compared only where parts of the delivery are signed")
    if scheme.family == "token":
        return token.Token(scheme)
    if scheme.family == "basic":
        return token.Basic(scheme)
    if scheme.family == "message":
        return rfc9421.make_verifier(scheme)
    return jws.Jws(scheme) if scheme.family == "jwt" else Parts(scheme)


compile_scheme = cache(build_verifier)  # for schemes that stay


class Parts:
    """A MAC, a signature or a plain digest over a list of parts."""

    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._stamp = TimestampReader(scheme) if scheme.timestamp else None
        self._parts = template.compile_template(scheme.signed, scheme.parameter)
        self._single = self._parts[0] if len(self._parts) == 1 else None
        self._builder = BUILDERS[scheme.builder] if scheme.builder else None
        self._keyed = "{key}" in scheme.signed or self._builder is not None
        self._holds_key = scheme.traits.holds_key
        self._require = [(name.encode(), value.encode()) for name, value in scheme.require.items()]
        self._ours = (
            (compile_place(scheme.ours), scheme.parameter.encode()) if scheme.ours and scheme.parameter else None
        )
        self._named = compile_key_names(scheme.remote) if scheme.remote else []
        self._key_id = compile_place(scheme.key_id) if scheme.key_id else None
        self._challenges = [
            re.compile(one.pattern) for one in scheme.handshakes if one.mac.startswith("hmac-") and not one.signed
        ]
        self.algorithm = make_algorithm(scheme.algorithm, scheme.encoding)
        if not self._keyed and self.algorithm.sign and not scheme.algorithm.startswith("hmac-"):
            raise ValueError("a plain digest needs {key} among what is signed: else anybody can make it")
        self._values = SignatureReader(scheme, 0 if scheme.traits.names_algorithm else self.algorithm.length)

    def verify(self, delivery: Delivery, keys: Sequence[Key], now: float) -> int:
        if self._require or self._named or self._ours:
            self._check(delivery)
        position = self._try_groups(delivery, keys, now)
        if self._challenges:
            self._refuse_challenge(delivery)
        return position

    def _try_groups(self, delivery: Delivery, keys: Sequence[Key], now: float) -> int:
        groups = self._values.read(delivery)
        if len(groups) == 1:
            return self._find_key(delivery, keys, now, *groups[0])
        failure = BadSignature("missing")
        for group in groups:
            try:
                return self._find_key(delivery, keys, now, *group)
            except BadSignature as error:
                failure = error
        raise failure

    def _refuse_challenge(self, delivery: Delivery) -> None:
        """An unsigned handshake has us sign what anybody asks: such a text is no delivery."""
        text = self.build_content(delivery).decode("utf-8", "replace")
        if any(pattern.fullmatch(text) for pattern in self._challenges):
            raise BadSignature("challenge")

    def _check(self, delivery: Delivery) -> None:
        for name, value in self._require:
            if delivery.header(name) != value:
                raise BadSignature("version")
        if self._named and not any(pattern.fullmatch(find(delivery)) for find, pattern in self._named):
            raise BadSignature("key-url")
        if self._ours and not hmac.compare_digest(self._ours[0](delivery), self._ours[1]):
            raise BadSignature("not-ours")

    def _find_key(
        self, delivery: Delivery, keys: Sequence[Key], now: float, candidates: list[bytes], items: template.Items
    ) -> int:
        stamp = self._stamp.read(delivery, items, now) if self._stamp else b""
        text = b"" if self._keyed else self.build_text(delivery, stamp, items, b"")
        claims = self._list_signed_texts(delivery, b"", stamp, candidates)
        for position, key in enumerate(keys):
            if self._key_id and isinstance(key, NamedKey):
                if key.id != self._key_id(delivery):
                    continue
                key = key.key
            if self._builder:
                if self._holds_key:
                    claims = self._list_signed_texts(delivery, key, stamp, candidates)
                if claims and self._is_valid(key, claims[0]) and self._are_valid(keys, claims[1:]):
                    return position
                continue
            if isinstance(key, EitherKey):
                if any(self.algorithm.fits(one, text, candidates) for one in key.keys):
                    return position
                continue
            if self._keyed:
                text = self.build_text(delivery, stamp, items, key)
            if self.algorithm.fits(key, text, candidates):
                return position
        raise BadSignature("wrong")

    def _list_signed_texts(
        self, delivery: Delivery, key: Key, stamp: bytes, candidates: list[bytes]
    ) -> list[SignedText]:
        try:
            return self._builder(delivery, self._scheme, key, stamp, candidates) if self._builder else []
        except UnicodeError:  # half a surrogate pair, which JSON can hold and UTF-8 cannot
            raise BadSignature("malformed") from None

    def build_text(self, delivery: Delivery, stamp: bytes, items: template.Items, key: bytes) -> bytes:
        if self._single:
            return self._single(delivery, stamp, items, key)
        return b"".join([part(delivery, stamp, items, key) for part in self._parts])

    def list_signing_texts(
        self, delivery: Delivery, stamp: bytes, items: template.Items, key: bytes
    ) -> list[tuple["Algorithm", bytes]]:
        """What is to be signed with which algorithm: one text, or one for each item of a batch. Raises BadSignature."""
        if not self._builder:
            return [(self.algorithm, self.build_text(delivery, stamp, items, key))]
        return [
            (self._choose_algorithm(claim), claim.texts[0])
            for claim in self._list_signed_texts(delivery, key, stamp, [b""])
        ]

    def build_content(self, delivery: Delivery) -> bytes:
        """What is signed, without time and key. Raises BadSignature."""
        items = next((items for _, items in self._values.read(delivery)), {})
        if self._builder:
            return b"\0".join(claim.texts[0] for claim in self._list_signed_texts(delivery, b"", b"", [b""]))
        return self.build_text(delivery, b"", items, b"")

    def _are_valid(self, keys: Sequence[Key], claims: Sequence[SignedText]) -> bool:
        """Whether each claim holds; the items of a batch may be signed with different secrets of ours."""
        return all(any(self._is_valid(key, claim) for key in keys) for claim in claims)

    def _is_valid(self, key: Key, claim: SignedText) -> bool:
        how = self._choose_algorithm(claim)
        return any(how.fits(key, text, claim.candidates) for text in claim.texts)

    def _choose_algorithm(self, claim: SignedText) -> "Algorithm":
        return make_algorithm(claim.algorithm, self._scheme.encoding) if claim.algorithm else self.algorithm


def compile_key_names(remote: Remote) -> list[tuple[Place, re.Pattern[bytes]]]:
    """Where a delivery names the key with which it was signed, and what may stand there."""
    return [(compile_place(name), re.compile(remote.pattern.encode())) for name in remote.named]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """fits: whether a signature fits. sign: the signature, where a secret key makes it. length: of its text."""

    fits: Callable[[Key, bytes, Sequence[bytes]], bool]
    sign: Callable[[bytes, bytes], bytes] | None = None
    length: int = 0


@cache
def make_algorithm(name: str, encoding: str) -> Algorithm:
    """Raises ValueError where there is none of this name."""
    if name in CHECKS:
        check = CHECKS[name]

        def verify_raw(key: Key, text: bytes, candidates: Sequence[bytes]) -> bool:
            raws = [raw for one in candidates if (raw := decode_signature(encoding, one)) is not None]
            singles = key.get("") if isinstance(key, Jwks) else [key]
            return any(check(single, text, raw) for single in singles for raw in raws)

        return Algorithm(verify_raw)
    encode = ENCODINGS[encoding]
    if name.startswith("hmac-"):
        digest = name.removeprefix("hmac-")

        def sign(key: bytes, text: bytes) -> bytes:
            return encode(hmac.digest(key, text, digest))
    else:
        digest = name

        def sign(key: bytes, text: bytes) -> bytes:  # the key is one of the parts
            return encode(hashlib.new(digest, text).digest())

    def fits(key: Key, text: bytes, candidates: Sequence[bytes]) -> bool:
        expected = sign(key, text)
        for candidate in candidates:  # noqa: SIM110 - a generator costs more than the comparison
            if hmac.compare_digest(expected, candidate):
                return True
        return False

    return Algorithm(fits, sign, len(encode(bytes(hashlib.new(digest).digest_size))))


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "hex": hexlify,
    "hex-any": hexlify,
    "hex-upper": lambda raw: hexlify(raw).upper(),
    "base64": base64.b64encode,
    "base64url": lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"="),
    "base64-hex": lambda raw: base64.b64encode(hexlify(raw)),
}
PUBLIC = ("pem", "raw-hex", "raw-base64", "whpk", "jwks", "certificate", "any")


def decode_key(scheme: Scheme, secret: str) -> Key:
    """The key as the provider means it. Raises ValueError, with no part of the secret in it."""
    if scheme.key_id and ":" in secret:
        name, _, secret = secret.partition(":")
        return NamedKey(name.encode(), decode_plain_key(scheme, secret))
    return decode_plain_key(scheme, secret)


def decode_plain_key(scheme: Scheme, secret: str) -> Key:
    if scheme.key in PUBLIC:
        return parse_public_key(scheme.key, secret)
    if scheme.family == "basic" and ":" not in secret:
        raise ValueError("is not user:password, which Basic authentication requires")
    for beginning in scheme.strip:
        secret = secret.removeprefix(beginning)
    key = parse_text_key("text" if scheme.key == "text-or-base64" else scheme.key, secret + scheme.suffix)
    if not key:
        raise ValueError("is empty")
    if scheme.key == "text-or-base64":
        with contextlib.suppress(ValueError):
            return EitherKey((key, parse_text_key("whsec", secret)))
    return key
