"""JSON Web Tokens (RFC 7519) and detached signatures (RFC 7515, RFC 7797) of a delivery."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ..delivery import Delivery, compile_place, split_url, to_text
from ..errors import BadSignature
from ..schemes import Scheme
from .builders import TOKENS
from .header import SKEW_SECONDS
from .keys import CHECKS, Jwks, Public, decode_base64url

MAX_TOKEN_CHARACTERS = 16_384  # of a token in a header
MAX_HEADERS = 100  # that a detached signature may name
SECRET = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
PUBLIC = {
    "RS256": "rsa-sha256", "RS384": "rsa-sha384", "RS512": "rsa-sha512",
    "ES256": "ecdsa-p256-sha256", "ES384": "ecdsa-p384-sha384", "ES512": "ecdsa-p521-sha512", "EdDSA": "ed25519",
}  # fmt: skip
Claims = Mapping[str, Any]


class Jws:
    def __init__(self, scheme: Scheme) -> None:
        self._scheme = scheme
        self._place = compile_place(scheme.signature[0])
        self._prefix = scheme.prefix.encode()
        self._in_body = scheme.signature[0].startswith(("body:", "json:"))
        self._detached = scheme.signed if "{b64_header}" in scheme.signed else ""
        self._builder = TOKENS.get(scheme.builder)
        self._payloads = PAYLOADS.get(scheme.builder, list_body_payloads)

    def verify(self, delivery: Delivery, keys: Sequence[Any], now: float) -> int:
        value = self._place(delivery).strip(b" \r\n" if self._in_body else b" ")
        if not value:
            raise BadSignature("missing")
        if not value.startswith(self._prefix) or (len(value) > MAX_TOKEN_CHARACTERS and not self._in_body):
            raise BadSignature("malformed")
        head, payload, signature = self._split(value[len(self._prefix) :])
        header = decode_document(head)
        if header.get("alg") not in self._scheme.algorithms or header.get("crit") not in (None, ["b64"]):
            raise BadSignature("algorithm")
        self._check(header if self._detached else decode_document(payload), delivery, now)
        payloads = self._payloads(header, delivery) if self._detached else [payload]
        return self._find_key(header, [head + b"." + one for one in payloads], signature, keys, now)

    def build_content(self, delivery: Delivery) -> bytes:
        """The token, where it is the body or a part of it; else the body."""
        return self._place(delivery).strip(b" \r\n") if self._in_body else delivery.body

    def _split(self, token: bytes) -> tuple[bytes, bytes, bytes]:
        """The three parts of a token; of a detached one the second is empty."""
        parts = token.split(b".")
        if len(parts) != 3 or (self._detached and parts[1]):
            raise BadSignature("malformed")
        head, payload, signature = parts
        try:
            return head, payload, decode_base64url(signature)
        except ValueError:
            raise BadSignature("malformed") from None

    def _find_key(
        self, header: Claims, texts: Sequence[bytes], signature: bytes, keys: Sequence[Any], now: float
    ) -> int:
        name = str(header["alg"])
        for position, key in enumerate(keys):
            if self._builder:
                candidates: Sequence[Any] = self._builder(header, key, now)
            else:
                candidates = key.get(str(header.get("kid", ""))) if isinstance(key, Jwks) else [key]
            if any(is_signed(name, one, text, signature) for one in candidates for text in texts):
                return position
        raise BadSignature("wrong")

    def _check(self, claims: Claims, delivery: Delivery, now: float) -> None:
        values = {"{parameter}": self._scheme.parameter, "{account}": self._scheme.account}
        for name, value in self._scheme.claims.items():
            claim = claims.get(name)
            expected = values.get(value, value)
            unasked = value == "{account}" and not expected  # nobody says whom we wait for, as in `schemes verify`
            if not unasked and expected != (to_text(claim) if isinstance(claim, bool) else claim):
                raise BadSignature("claim")
        self._check_time(claims, now)
        for name, how in self._scheme.hashes.items():
            compare_hash(claims.get(name), how, delivery)

    def _check_time(self, claims: Claims, now: float) -> None:
        tolerance = self._scheme.tolerance
        leeway = 0 if self._scheme.timestamp else tolerance
        exp, nbf = read_number(claims, "exp"), read_number(claims, "nbf")
        early = nbf is not None and now < nbf - max(leeway, SKEW_SECONDS)
        if (exp is not None and now > exp + leeway) or early:
            raise BadSignature("stale")
        if self._scheme.timestamp:
            signed_at = read_number(claims, self._scheme.timestamp.partition(":")[2])
            if signed_at is None:
                raise BadSignature("missing")
            moment = signed_at / 1000 if self._scheme.unit == "ms" else signed_at
            if tolerance and not -max(tolerance, SKEW_SECONDS) <= now - moment <= tolerance:
                raise BadSignature("stale")


def list_body_payloads(header: Claims, delivery: Delivery) -> list[bytes]:
    """What a detached signature signs: the body as it is (RFC 7797), or in base64url."""
    return [delivery.body if header.get("b64") is False else base64.urlsafe_b64encode(delivery.body).rstrip(b"=")]


def list_truelayer_payloads(header: Claims, delivery: Delivery) -> list[bytes]:
    """PyPI truelayer-signing 0.4.0, utils.py, verify.py: method, path, the headers that are named, body.

    A slash at the end of the path may have been lost, or added, on the way.
    """
    names = [name for name in to_text(header.get("tl_headers")).split(",") if name]
    if len(names) > MAX_HEADERS:
        raise BadSignature("malformed")
    lines = "".join(f"{name}: {delivery.header(name.lower().encode()).decode()}\n" for name in names)
    path = split_url(delivery.url).path or "/"
    texts = [
        f"{delivery.method} {one}\n{lines}".encode() for one in (path, path[:-1] if path[-1:] == "/" else path + "/")
    ]
    return [base64.urlsafe_b64encode(text + delivery.body).rstrip(b"=") for text in texts]


PAYLOADS: dict[str, Callable[[Claims, Delivery], list[bytes]]] = {"truelayer": list_truelayer_payloads}


def is_signed(name: str, key: Any, text: bytes, signature: bytes) -> bool:
    """Whether the signature is valid. A public key is never used as a secret."""
    if name in SECRET:
        return isinstance(key, bytes) and hmac.compare_digest(hmac.digest(key, text, SECRET[name]), signature)
    return isinstance(key, Public) and CHECKS[PUBLIC[name]](key, text, signature)


def decode_document(text: bytes) -> Claims:
    """An object in base64url. Raises BadSignature."""
    try:
        document = json.loads(decode_base64url(text))
    except (ValueError, RecursionError):
        raise BadSignature("malformed") from None
    if not isinstance(document, dict):
        raise BadSignature("malformed")
    return document


def read_number(claims: Claims, name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise BadSignature("malformed")
    return float(value)


def compare_hash(claim: Any, how: str, delivery: Delivery) -> None:
    """The claim that binds the delivery. It may be absent only with a body that is empty, where the row says so."""
    what, _, encoding = how.partition(" ")
    data = (
        write_canonical_request(delivery)
        if what == "qsh"
        else delivery.url.encode()
        if what == "url"
        else delivery.body
    )
    if what == "body?" and (claim is None) != (not data):
        raise BadSignature("wrong")
    if what == "body?" and claim is None:
        return
    expected, actual = HASHED[encoding](data), claim if isinstance(claim, str) else ""
    if "base64" in encoding:  # padding is written by some and not by others
        expected, actual = expected.rstrip("="), actual.rstrip("=")
    if not hmac.compare_digest(expected.encode("utf-8", "surrogatepass"), actual.encode("utf-8", "surrogatepass")):
        raise BadSignature("wrong")


def write_canonical_request(delivery: Delivery) -> bytes:
    """What qsh is the hash of: https://developer.atlassian.com/cloud/jira/platform/understanding-jwt-for-connect-apps/"""
    names = sorted({name for name, _ in delivery.query if name != "jwt"})
    parameters = {name: sorted(value for key, value in delivery.query if key == name) for name in names}
    query = "&".join(f"{escape(name)}={','.join(map(escape, values))}" for name, values in parameters.items())
    path = split_url(delivery.url).path.rstrip("/") or "/"
    return f"{delivery.method.upper()}&{path}&{query}".encode()


def escape(text: str) -> str:
    return quote(text, safe="-._~")


HASHED: dict[str, Callable[[bytes], str]] = {
    "sha256-hex": lambda data: hashlib.sha256(data).hexdigest(),
    "sha256-base64": lambda data: base64.b64encode(hashlib.sha256(data).digest()).decode(),
    "sha256-base64url": lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode(),
    "text": lambda data: data.decode("utf-8", "replace"),
}
