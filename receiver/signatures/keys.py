"""Parses keys, and checks signatures with public keys."""

import base64
import binascii
import contextlib
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----([A-Za-z0-9+/=\s]+)-----END \1-----")
MAX_KEY_CHARACTERS = 64 * 1024  # of a key; a set of them may be longer
Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@dataclass(frozen=True, slots=True)
class Jwks:
    """A set of public keys by their ids."""

    keys: tuple[tuple[str, Public], ...]

    def get(self, kid: str) -> list[Public]:
        return [key for name, key in self.keys if not kid or not name or name == kid]


def parse_text_key(kind: str, text: str) -> bytes:
    """The bytes of a secret key. Raises ValueError, with no part of the secret in it."""
    if kind == "text":
        return text.encode()
    if kind == "nfkd":
        return unicodedata.normalize("NFKD", text).encode()
    if kind == "sha1":
        return hashlib.sha1(text.encode()).digest()  # noqa: S324 - Braintree's rule
    if kind == "hex":
        try:
            return bytes.fromhex(text)
        except ValueError:
            raise ValueError("is not hex") from None
    if kind == "whsec-or-text" and not text.startswith("whsec_"):
        return text.encode()
    prefixed = kind.startswith("whsec")
    try:
        return base64.b64decode(text.removeprefix("whsec_") if prefixed else text, validate=True)
    except ValueError:
        raise ValueError(f"is not base64{', with or without whsec_ before it' * prefixed}") from None


def parse_public_key(kind: str, text: str) -> "Public | Jwks | x509.Certificate | bytes":
    """Raises ValueError."""
    try:
        if kind == "certificate":
            return x509.load_pem_x509_certificate(text.encode())
        if kind == "any" and "-----BEGIN" not in text and not text.lstrip().startswith("{"):
            return base64.b64decode(text, validate=True)
        if kind == "raw-hex":
            return ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(text))
        if kind in ("raw-base64", "whpk"):
            raw = base64.b64decode(text.removeprefix("whpk_"), validate=True)
            return ed25519.Ed25519PublicKey.from_public_bytes(raw)
        return parse_jwks(text) if text.lstrip().startswith("{") else parse_pem(text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise ValueError("is no public key of this kind") from None


def parse_pem(text: str) -> Public:
    """A public key or a certificate, in PEM with or without its line breaks, or in base64 alone."""
    if len(text) > MAX_KEY_CHARACTERS:
        raise ValueError("too long")
    match = PEM.search(text)
    raw = base64.b64decode("".join((match[2] if match else text).split()), validate=True)
    if not match and raw.startswith(b"-----BEGIN"):
        return parse_pem(raw.decode())
    if match and match[1] == "CERTIFICATE":
        key: Any = x509.load_der_x509_certificate(raw).public_key()
    else:
        key = serialization.load_der_public_key(raw)
    if not isinstance(key, Public):
        raise ValueError("of another kind")
    return key


def parse_jwks(text: str) -> Jwks:
    """What cannot be read in a set is left out (RFC 7517, 5). Raises ValueError where nothing is left."""
    document = json.loads(text)
    keys = []
    for row in document.get("keys", [document])[:100]:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
            keys.append((str(row.get("kid", "")), parse_jwk(row)))
    if not keys:
        raise ValueError("no key")
    return Jwks(tuple(keys))


def parse_jwk(row: dict[str, Any]) -> Public:
    def number(name: str) -> int:
        return int.from_bytes(decode_base64url(row[name].encode()))

    if row["kty"] == "RSA":
        return rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    if row["kty"] == "EC":
        return ec.EllipticCurvePublicNumbers(number("x"), number("y"), CURVES[row["crv"]]).public_key()
    return ed25519.Ed25519PublicKey.from_public_bytes(decode_base64url(row["x"].encode()))


def decode_base64url(text: bytes) -> bytes:
    """base64url without padding, strictly. Raises ValueError."""
    if b"=" in text or b"+" in text or b"/" in text:
        raise ValueError("is not base64url")
    raw = base64.b64decode(text.translate(URL_SAFE) + b"=" * (-len(text) % 4), validate=True)
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != text:
        raise ValueError("is not canonical")
    return raw


KINDS = {"rsa": rsa.RSAPublicKey, "ecdsa": ec.EllipticCurvePublicKey, "ed25519": ed25519.Ed25519PublicKey}


def is_usable(algorithm: str, key: Any) -> bool:
    """Whether it is a public key, of the kind that this algorithm checks with; "": of any kind."""
    keys = [one for _, one in key.keys] if isinstance(key, Jwks) else [key]
    kind = KINDS.get(algorithm.partition("-")[0], Public)
    return any(isinstance(one, kind) for one in keys)


def is_current(text: str) -> bool:
    """Whether this is no certificate, or one that is valid now."""
    if "BEGIN CERTIFICATE" not in text:
        return True
    certificate, now = x509.load_pem_x509_certificate(text.encode()), datetime.now(UTC)
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


URL_SAFE = bytes.maketrans(b"-_", b"+/")
Check = Callable[[Any, bytes, bytes], bool]  # of key, text and signature


def is_signed(key: Any, text: bytes, signature: bytes, *how: Any) -> bool:
    try:
        key.verify(signature, text, *how)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def make_rsa_check(digest: hashes.HashAlgorithm, salt: int = 0) -> Check:
    pad = padding.PSS(padding.MGF1(digest), salt) if salt else padding.PKCS1v15()
    return lambda key, text, value: isinstance(key, rsa.RSAPublicKey) and is_signed(key, text, value, pad, digest)


def make_ec_check(digest: hashes.HashAlgorithm, size: int = 0) -> Check:
    """size: bytes of r and of s, where they are written one after the other; else the signature is in DER."""

    def check(key: Any, text: bytes, value: bytes) -> bool:
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        if size:
            if len(value) != 2 * size or (key.key_size + 7) // 8 != size:
                return False
            value = utils.encode_dss_signature(int.from_bytes(value[:size]), int.from_bytes(value[size:]))
        return is_signed(key, text, value, ec.ECDSA(digest))

    return check


CHECKS: dict[str, Check] = {
    "ed25519": lambda key, text, value: isinstance(key, ed25519.Ed25519PublicKey) and is_signed(key, text, value),
    "rsa-sha1": make_rsa_check(hashes.SHA1()),  # noqa: S303 - SNS version 1, Travis CI
    "rsa-sha256": make_rsa_check(hashes.SHA256()),
    "rsa-sha384": make_rsa_check(hashes.SHA384()),
    "rsa-sha512": make_rsa_check(hashes.SHA512()),
    "rsa-pss-sha512": make_rsa_check(hashes.SHA512(), 64),
    "ecdsa-sha1": make_ec_check(hashes.SHA1()),  # noqa: S303 - eBay
    "ecdsa-sha256": make_ec_check(hashes.SHA256()),
    "ecdsa-p256-sha256": make_ec_check(hashes.SHA256(), 32),
    "ecdsa-p384-sha384": make_ec_check(hashes.SHA384(), 48),
    "ecdsa-p521-sha512": make_ec_check(hashes.SHA512(), 66),
}


def decode_signature(encoding: str, text: bytes) -> bytes | None:
    """The signature's bytes, if the text is the one way in which they are written."""
    try:
        if encoding.startswith("hex"):
            return binascii.unhexlify(text)
        if encoding == "base64url":
            return decode_base64url(text)
        raw = base64.b64decode(text, validate=True)
        return raw if base64.b64encode(raw) == text else None
    except ValueError:
        return None
