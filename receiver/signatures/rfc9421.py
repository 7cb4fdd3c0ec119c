"""HTTP Message Signatures (RFC 9421) and the draft before them (draft-cavage-http-signatures-12).

The body is bound only through its digest in a header; a row says in `covered` which components must be.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from ..delivery import Delivery, read_path_and_query, split_url
from ..errors import BadSignature
from ..schemes import Scheme
from .header import SKEW_SECONDS
from .keys import CHECKS, Jwks

LEEWAY_SECONDS = 5.0  # for which a signature outlives `expires`
MAX_SIGNATURES = 10  # signatures looked at
MAX_INPUT_BYTES = 8192  # of Signature-Input
PARAMETERS = rb'(?:;[a-z*][a-z0-9_.*-]*(?:=(?:"[^"\\]*"|[^;,"()\s]+))?)*'
MEMBER = re.compile(
    rb'\s*([a-z*][a-z0-9_.*-]*)=(\(((?:\s*"[^"\\]*"' + PARAMETERS + rb")*)\s*\)(" + PARAMETERS + rb"))\s*(?:,|$)"
)
COMPONENT = re.compile(rb'"([^"\\]*)"(' + PARAMETERS + rb")")
PARAMETER = re.compile(rb';([a-z*][a-z0-9_.*-]*)(?:=(?:"([^"\\]*)"|([^;,"()\s]+)))?')
SIGNATURE = re.compile(rb"\s*([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/=]*):\s*(?:,|$)")
ITEM = re.compile(rb'\s*([A-Za-z]+)=(?:"([^"]*)"|([0-9]+))\s*(?:,|$)')
NAMES = {"hmac-sha256": "hmac-sha256", "rsa-v1_5-sha256": "rsa-sha256"}  # the registry's names, where ours differ
DIGESTS = {b"sha-256": "sha256", b"sha-512": "sha512"}


def make_verifier(scheme: Scheme) -> "MessageSignature | Cavage":
    return Cavage(scheme) if scheme.separator == "," else MessageSignature(scheme)


class MessageSignature:
    """RFC 9421."""

    def __init__(self, scheme: Scheme) -> None:
        self._tolerance = scheme.tolerance
        self._covered = [alternatives.split("|") for alternatives in scheme.covered]

    def build_content(self, delivery: Delivery) -> bytes:
        return delivery.body

    def verify(self, delivery: Delivery, keys: Sequence[Any], now: float) -> int:
        signatures = dict(parse_members(SIGNATURE, join_values(delivery, b"signature"), 2))
        failure = BadSignature("missing")
        for label, raw, inner, parameters in parse_members(MEMBER, join_values(delivery, b"signature-input"), 4)[
            :MAX_SIGNATURES
        ]:
            if label not in signatures:
                continue
            try:
                return self._one(delivery, keys, now, raw, inner, parse_parameters(parameters), signatures[label])
            except BadSignature as error:
                failure = error
        raise failure

    def _one(
        self, delivery: Delivery, keys: Sequence[Any], now: float,
        raw: bytes, inner: bytes, parameters: Mapping[bytes, bytes], signature: bytes,
    ) -> int:  # fmt: skip
        components = COMPONENT.findall(inner)
        names = [name.decode("ascii", "replace") for name, _ in components]
        if len(set(components)) != len(components):
            raise BadSignature("repeated")
        if any(not set(alternatives) & set(names) for alternatives in self._covered):
            raise BadSignature("uncovered")
        self._check_time(parameters, now)
        if "content-digest" in names:
            check_digest(join_values(delivery, b"content-digest"), delivery.raw)
        text = build_signature_base(delivery, components, raw)
        return find_key(keys, text, decode_base64(signature), parameters.get(b"alg", b"").decode("ascii", "replace"))

    def _check_time(self, parameters: Mapping[bytes, bytes], now: float) -> None:
        created, expires = read_integer(parameters, b"created"), read_integer(parameters, b"expires")
        if created is None:
            raise BadSignature("missing")
        late = self._tolerance and now - created > self._tolerance
        if late or created - now > SKEW_SECONDS or (expires is not None and now > expires + LEEWAY_SECONDS):
            raise BadSignature("stale")


class Cavage:
    """draft-cavage-http-signatures-12, with a Digest header (RFC 3230) that binds the body."""

    def __init__(self, scheme: Scheme) -> None:
        self._header = scheme.signature[0].removeprefix("header:").encode()
        self._tolerance = scheme.tolerance

    def build_content(self, delivery: Delivery) -> bytes:
        return delivery.body

    def verify(self, delivery: Delivery, keys: Sequence[Any], now: float) -> int:
        value = delivery.header(self._header) or delivery.header(b"authorization").removeprefix(b"Signature ")
        if not value:
            raise BadSignature("missing")
        items = {name: text or digits for name, text, digits in parse_members(ITEM, value, 3)}
        names = items.get(b"headers", b"date").lower().split()[:50]
        if b"digest" not in names or b"(request-target)" not in names:
            raise BadSignature("uncovered")
        self._check_time(delivery, names, items, now)
        check_old_digest(delivery.header(b"digest"), delivery.raw)
        text = build_cavage_text(delivery, names, items)
        return find_key(keys, text, decode_base64(items.get(b"signature", b"")), "")

    def _check_time(self, delivery: Delivery, names: Sequence[bytes], items: Mapping[bytes, bytes], now: float) -> None:
        if b"(created)" in names:
            moment = read_integer(items, b"created") or 0.0
        elif b"date" in names:
            try:
                moment = parsedate_to_datetime(delivery.header(b"date").decode()).timestamp()
            except (ValueError, OverflowError):
                raise BadSignature("malformed") from None
        else:
            raise BadSignature("uncovered")
        if not -max(self._tolerance, SKEW_SECONDS) <= now - moment <= self._tolerance:
            raise BadSignature("stale")


def build_cavage_text(delivery: Delivery, names: Sequence[bytes], items: Mapping[bytes, bytes]) -> bytes:
    """draft-cavage-http-signatures-12, 2.3. items: those of the Signature header. Raises BadSignature."""
    return b"\n".join(b"%b: %b" % (name, read_cavage_component(delivery, name, items)) for name in names)


def read_cavage_component(delivery: Delivery, name: bytes, items: Mapping[bytes, bytes]) -> bytes:
    if name == b"(request-target)":
        return f"{delivery.method.lower()} {read_path_and_query(delivery.url)}".encode()
    if name in (b"(created)", b"(expires)"):
        return items.get(name.strip(b"()"), b"")
    return join_values(delivery, name)


def parse_members(pattern: re.Pattern[bytes], text: bytes, groups: int) -> list[Any]:
    """The members of a dictionary, as the pattern's groups. Raises BadSignature where anything else stands there."""
    members, at = [], 0
    if len(text) > MAX_INPUT_BYTES:
        raise BadSignature("malformed")
    while at < len(text):
        match = pattern.match(text, at)
        if match is None:
            raise BadSignature("malformed")
        members.append(match.groups(b"")[:groups])
        at = match.end()
    if not members:
        raise BadSignature("missing")
    return members


def parse_parameters(parameters: bytes) -> dict[bytes, bytes]:
    return {name: text or token for name, text, token in PARAMETER.findall(parameters)}


def join_values(delivery: Delivery, name: bytes) -> bytes:
    """A header's values as RFC 9421 joins them. Raises BadSignature where it is missing."""
    values = delivery.all(name)
    if not values:
        raise BadSignature("missing")
    return b", ".join(value.strip(b" \t") for value in values)


def build_signature_base(delivery: Delivery, components: Sequence[tuple[bytes, bytes]], raw: bytes) -> bytes:
    """RFC 9421, 2.5. components: names and their parameters. raw: the member of Signature-Input, as it is written."""
    lines = [b'"%b"%b: %b' % (name, more, read_component(delivery, name, more)) for name, more in components]
    return b"\n".join([*lines, b'"@signature-params": ' + raw])


def read_component(delivery: Delivery, name: bytes, parameters: bytes) -> bytes:
    """RFC 9421, sections 2.1 and 2.2; of the parameters only `name` of @query-param is known."""
    if name == b"@query-param":
        return read_query_parameter(delivery, parse_parameters(parameters).get(b"name", b"").decode())
    if parameters:
        raise BadSignature("malformed")
    if not name.startswith(b"@"):
        return join_values(delivery, name)
    url = split_url(delivery.url)
    derived: dict[bytes, str] = {
        b"@method": delivery.method,
        b"@target-uri": delivery.url,
        b"@authority": read_authority(url),
        b"@scheme": url.scheme.lower(),
        b"@request-target": read_path_and_query(delivery.url),
        b"@path": url.path or "/",
        b"@query": f"?{url.query}",
    }
    if name not in derived:
        raise BadSignature("malformed")
    return derived[name].encode()


def read_query_parameter(delivery: Delivery, name: str) -> bytes:
    values = [value for key, value in delivery.query if key == name]
    if len(values) != 1 or "%" in values[0]:
        raise BadSignature("malformed")
    return values[0].encode()


def read_authority(url: Any) -> str:
    default = {"https": ":443", "http": ":80"}.get(url.scheme, "")
    return str(url.netloc.rpartition("@")[2].lower().removesuffix(default))


def check_digest(value: bytes, body: bytes) -> None:
    """RFC 9530: every digest that we know must be right, and there must be one."""
    known = [(name, text) for name, text in parse_members(SIGNATURE, value, 2) if name in DIGESTS]
    if not known or not all(
        hmac.compare_digest(decode_base64(text), compute_digest(DIGESTS[name], body)) for name, text in known
    ):
        raise BadSignature("digest")


def check_old_digest(value: bytes, body: bytes) -> None:
    pairs = [part.strip().partition(b"=") for part in value.split(b",")]
    known = [(DIGESTS[name.lower()], text) for name, _, text in pairs if name.lower() in DIGESTS]
    if not known or not all(
        hmac.compare_digest(decode_base64(text), compute_digest(name, body)) for name, text in known
    ):
        raise BadSignature("digest")


def compute_digest(name: str, body: bytes) -> bytes:
    return hashlib.new(name, body).digest()


def decode_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise BadSignature("malformed") from None


def read_integer(parameters: Mapping[bytes, bytes], name: bytes) -> float | None:
    text = parameters.get(name)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise BadSignature("malformed")
    return float(text)


def find_key(keys: Sequence[Any], text: bytes, signature: bytes, algorithm: str) -> int:
    """The position of the key that fits. The key says which algorithm it is; one that is told must agree."""
    for position, key in enumerate(keys):
        for single in key.get("") if isinstance(key, Jwks) else [key]:
            for name in list_algorithms(single):
                if algorithm in ("", name) and is_signed(NAMES.get(name, name), single, text, signature):
                    return position
    raise BadSignature("wrong")


def list_algorithms(key: Any) -> tuple[str, ...]:
    if isinstance(key, bytes):
        return ("hmac-sha256",)
    if isinstance(key, rsa.RSAPublicKey):
        return ("rsa-pss-sha512", "rsa-v1_5-sha256")
    if isinstance(key, ec.EllipticCurvePublicKey):
        return ("ecdsa-p384-sha384",) if key.key_size == 384 else ("ecdsa-p256-sha256",)
    return ("ed25519",) if isinstance(key, ed25519.Ed25519PublicKey) else ()


def is_signed(name: str, key: Any, text: bytes, signature: bytes) -> bool:
    if name == "hmac-sha256":
        return hmac.compare_digest(hmac.digest(key, text, "sha256"), signature)
    return CHECKS[name](key, text, signature)
