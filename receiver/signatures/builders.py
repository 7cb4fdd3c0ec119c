"""Builders: what is signed, where no template can say it. Each follows the provider's own library or page.

A builder makes claims of a delivery: texts, of which one must fit one of the signatures. All claims must hold.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ..delivery import Delivery, decode_base64, parse_json, read_one, to_text, walk_path
from ..errors import BadSignature

if TYPE_CHECKING:
    from ..schemes import Scheme


class SignedText(NamedTuple):
    texts: Sequence[bytes]
    candidates: Sequence[bytes]
    algorithm: str = ""  # "": the row's


Texts = list[SignedText]
Builder = Callable[[Delivery, "Scheme", Any, bytes, Sequence[bytes]], Texts]
MAX_ITEMS = 100  # of a batch


def require(value: str) -> str:
    if not value:
        raise BadSignature("missing")
    return value


def twilio(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """https://www.twilio.com/docs/usage/webhooks/webhooks-security: the URL, then the form's names and values in order.

    A body that is no form is bound by its digest in the query. The port may have been lost, or added, on the way. A
    delivery that a shared key signs names the algorithm in a header (PyPI twilio 9.13.0, request_validator.py).
    """
    settings = delivery.header(b"x-twilio-webhooks-signature-settings").decode()
    named = dict(part.strip().partition("=")[::2] for part in settings.split(",")).get("algorithm", "hmac_sha1")
    algorithm = {"hmac_sha1": "hmac-sha1", "hmac_sha256": "hmac-sha256"}.get(named.lower())
    if algorithm is None:
        raise BadSignature("algorithm")
    expected = read_one(delivery.query, "bodySHA256")
    fields = ""
    if expected:
        if not hmac.compare_digest(hashlib.sha256(delivery.body).hexdigest().encode(), expected):
            raise BadSignature("digest")
    elif delivery.body:
        fields = "".join(name + value for name, value in dict.fromkeys(delivery.sorted_form))  # each once
    return [SignedText([(url + fields).encode() for url in list_port_variants(delivery.url)], candidates, algorithm)]


def list_port_variants(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadSignature("malformed") from None
    host = parts.netloc.rpartition("@")[2].rpartition(":")[0] if port else parts.netloc
    added = f"{host}:{port or (443 if parts.scheme == 'https' else 80)}"
    return [urlunsplit(parts._replace(netloc=netloc)) for netloc in (host, added)]


def plivo(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package plivo, utils/signature_v3.py: URL, sorted query and form, then the nonce."""
    nonce = require(delivery.header(b"x-plivo-signature-v3-nonce").decode())
    query = "&".join(f"{name}={value}" for name, value in sorted(delivery.query))
    form = delivery.sorted_form if delivery.method == "POST" else []
    fields = "".join(name + value for name, value in form)
    text = delivery.url.partition("?")[0] + f"?{query}" * bool(query or fields) + "." * bool(query and fields) + fields
    return [SignedText([f"{text}.{nonce}".encode()], candidates)]


COMPONENT = "-_.!~*'()"  # what encodeURIComponent leaves as it is, besides letters and digits


def contentful(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package @contentful/node-apps-toolkit: method, path, the listed headers, body."""
    names = delivery.header(b"x-contentful-signed-headers").decode().lower().split(",")
    if "x-contentful-timestamp" not in names or len(names) > MAX_ITEMS:
        raise BadSignature("uncovered")
    headers = ";".join(f"{name}:{delivery.header(name.encode()).decode().strip()}" for name in sorted(names))
    parts = urlsplit(delivery.url)
    query = quote(parts.query.partition("?")[0], safe=COMPONENT)  # encodeURIComponent, and then all by encodeURI
    path = quote(f"{parts.path or '/'}?{query}" if query else parts.path or "/", safe=COMPONENT + ";,/?:@&=+$#")
    head = f"{delivery.method}\n{path}\n{headers}\n".encode()
    return [SignedText([head + delivery.body], candidates)]


def mercadopago(delivery: Delivery, _s: object, _k: object, stamp: bytes, candidates: Sequence[bytes]) -> Texts:
    """The package mercadopago: what is absent is left out."""
    name = read_one(delivery.query, "data.id").decode().lower()
    request = delivery.header(b"x-request-id").decode()
    text = f"id:{name};" * bool(name) + f"request-id:{request};" * bool(request) + f"ts:{stamp.decode()};"
    return [SignedText([text.encode()], candidates)]


def hubspot_old(delivery: Delivery, _s: object, key: bytes, _t: object, candidates: Sequence[bytes]) -> Texts:
    """https://developers.hubspot.com/docs/api/webhooks/validating-requests: versions 1 and 2 are plain digests."""
    version = delivery.header(b"x-hubspot-signature-version")
    middle = {b"v1": b"", b"v2": f"{delivery.method}{delivery.url}".encode()}.get(version)
    if middle is None:
        raise BadSignature("version")
    return [SignedText([key + middle + delivery.body], candidates)]


ADYEN = (
    "pspReference", "originalReference", "merchantAccountCode", "merchantReference",
    "amount.value", "amount.currency", "eventCode", "success",
)  # fmt: skip


def adyen(delivery: Delivery, _s: object, _k: object, _t: object, _c: object) -> Texts:
    """https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures: every item of a batch."""
    items = walk_path([delivery.json], ["notificationItems", "*", "NotificationRequestItem"])
    if not items or len(items) > MAX_ITEMS:
        raise BadSignature("missing" if not items else "malformed")
    claims = []
    for item in items:
        signature = at(item, "additionalData.hmacSignature")
        claims.append(SignedText([":".join(at(item, path) for path in ADYEN).encode()], [require(signature).encode()]))
    return claims


def at(value: Any, path: str) -> str:
    return to_text(walk_path([value], path.split("."))[0])


SNS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
SNS["UnsubscribeConfirmation"] = SNS["SubscriptionConfirmation"]


def sns(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message-verify-message-signature.html"""
    message = delivery.json
    names = SNS.get(at(message, "Type"))
    algorithm = {"1": "rsa-sha1", "2": "rsa-sha256"}.get(at(message, "SignatureVersion"))
    if names is None or algorithm is None:
        raise BadSignature("version")
    text = "".join(f"{name}\n{at(message, name)}\n" for name in names if at(message, name))
    return [SignedText([text.encode()], candidates, algorithm)]


def ebay(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package event-notification: the header is JSON in base64."""
    header = parse_json(decode_base64(delivery.header(b"x-ebay-signature")))
    if at(header, "alg").lower() != "ecdsa" or at(header, "digest") != "SHA1":
        raise BadSignature("algorithm")
    return [SignedText([delivery.body], candidates)]


CHALLENGE = re.compile(rb"[0-9a-f]{20,32}\s*")


def braintree(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package braintree, webhook_notification_gateway.py: what looks like a challenge is no payload."""
    payload = read_one(delivery.form, "bt_payload")
    if not payload or CHALLENGE.fullmatch(payload):
        raise BadSignature("malformed")
    return [SignedText([payload, payload + b"\n"], candidates)]


def websub(delivery: Delivery, _s: object, _k: object, _t: object, _c: object) -> Texts:
    """https://www.w3.org/TR/websub/#signature-validation: the header names the digest."""
    method, _, text = delivery.header(b"x-hub-signature").partition(b"=")
    if method not in (b"sha1", b"sha256", b"sha384", b"sha512"):
        raise BadSignature("algorithm")
    return [SignedText([delivery.body], [text], f"hmac-{method.decode()}")]


def listed_headers(delivery: Delivery, _s: object, _k: object, stamp: bytes, candidates: Sequence[bytes]) -> Texts:
    """Hook0: the value's item h lists headers, whose values are signed between the time and the body."""
    value = delivery.header(b"x-hook0-signature").decode()
    items = dict(part.strip().partition("=")[::2] for part in value.split(","))
    names = items.get("h", "").split(" ")[:MAX_ITEMS]
    values = ".".join(delivery.header(name.lower().encode()).decode() for name in names)
    return [SignedText([f"{stamp.decode()}.{items.get('h', '')}.{values}.".encode() + delivery.body], candidates)]


def grafana(delivery: Delivery, scheme: "Scheme", _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """grafana/alerting, http/hmac.go: the time stands before the body, if the contact point names a header for it."""
    name = scheme.parameter.lower() or "x-grafana-alerting-timestamp"
    stamp = delivery.header(name.encode())
    return [SignedText([stamp + b":" + delivery.body if stamp else delivery.body], candidates)]


def paddle_classic(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """Paddle Classic signs the sorted fields as PHP serializes an array."""
    fields = [(name, value) for name, value in delivery.sorted_form if name != "p_signature"]
    text = "".join(f"{serialize_php(name)}{serialize_php(value)}" for name, value in fields)
    return [SignedText([f"a:{len(fields)}:{{{text}}}".encode()], candidates)]


def serialize_php(text: str) -> str:
    return f's:{len(text.encode())}:"{text}";'


def canonical(delivery: Delivery, _s: object, _k: object, stamp: bytes, candidates: Sequence[bytes]) -> Texts:
    """The body's JSON in canonical form (RFC 8785), then the time, where there is one."""
    try:
        text = write_canonical_json(json.loads(delivery.body, parse_int=float)).encode()
    except (ValueError, RecursionError, UnicodeError, OverflowError):
        raise BadSignature("malformed") from None
    return [SignedText([text + stamp], candidates)]


def write_canonical_json(value: Any) -> str:
    """RFC 8785: keys in the order of their UTF-16, numbers as ECMAScript writes them. Raises ValueError."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{write_canonical_json(key)}:{write_canonical_json(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(write_canonical_json, value)) + "]"
    if isinstance(value, float):
        return write_ecmascript_number(value)
    return json.dumps(value, ensure_ascii=False)


def write_ecmascript_number(value: float) -> str:
    """ECMA-262, Number::toString. Raises ValueError for what is no number in JSON."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("no number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0") or "0"
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = f"e{point - 1:+d}"
    return f"{sign}{digits[0]}{'.' * (len(digits) > 1)}{digits[1:]}{power}"


def hashed_twice(delivery: Delivery, _s: object, _k: object, stamp: bytes, candidates: Sequence[bytes]) -> Texts:
    """https://apidocs.bridge.xyz/docs/webhook-event-signature-verification: the digest of time and body is signed."""
    return [SignedText([hashlib.sha256(stamp + b"." + delivery.body).digest()], candidates)]


def alipay(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package alipay-sdk 4.14.0, alipay.js, checkNotifySignV2: the sorted fields without `sign`.

    Some products sign `sign_type` too, others do not. It may not choose the algorithm, since it may be unsigned.
    """
    fields = dict(delivery.sorted_form)
    if len(fields) != len(delivery.form):
        raise BadSignature("repeated")
    if fields.get("sign_type", "RSA2") not in ("", "RSA2"):
        raise BadSignature("algorithm")
    fields.pop("sign", None)
    with_type = sorted(({"sign_type": "RSA2"} | fields).items())
    without_type = [(name, value) for name, value in with_type if name != "sign_type"]
    return [SignedText([join_pairs(with_type), join_pairs(without_type)], candidates)]


def join_pairs(pairs: Sequence[tuple[str, str]]) -> bytes:
    return "&".join(f"{name}={value}" for name, value in pairs).encode()


def payos(delivery: Delivery, _s: object, _k: object, _t: object, candidates: Sequence[bytes]) -> Texts:
    """The package @payos/node 2.0.5, crypto/node-crypto.js: the sorted fields of `data`; an absent value is empty."""
    try:
        document = json.loads(delivery.body, parse_int=float)
        data = document.get("data") if isinstance(document, dict) else None
        if not isinstance(data, dict) or not data or len(data) > MAX_ITEMS:
            raise BadSignature("malformed")
        names = sorted(data, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return [SignedText([join_pairs([(name, write_payos_value(data[name])) for name in names])], candidates)]
    except (ValueError, RecursionError, OverflowError):
        raise BadSignature("malformed") from None


def write_payos_value(value: Any) -> str:
    if value is None or value in ("null", "undefined"):
        return ""
    return value if isinstance(value, str) else write_canonical_json(value)


BUILDERS: dict[str, Builder] = {
    "twilio": twilio, "plivo": plivo, "contentful": contentful, "mercadopago": mercadopago, "hubspot-old": hubspot_old,
    "adyen": adyen, "sns": sns, "ebay": ebay, "braintree": braintree, "websub": websub,
    "listed-headers": listed_headers, "grafana": grafana, "alipay": alipay, "payos": payos,
    "paddle-classic": paddle_classic, "hashed-twice": hashed_twice, "canonical": canonical,
}  # fmt: skip

APPLE = (x509.ObjectIdentifier("1.2.840.113635.100.6.11.1"), x509.ObjectIdentifier("1.2.840.113635.100.6.2.1"))


def verify_chain(header: Mapping[str, Any], root: Any, now: float) -> list[Any]:
    """The leaf's key of the chain in a token's header, if it leads to the root that the operator gave.

    https://developer.apple.com/documentation/appstoreservernotifications/jwsdecodedheader
    """
    texts = header.get("x5c")
    if not isinstance(texts, list) or not 2 <= len(texts) <= 4 or not isinstance(root, x509.Certificate):
        return []
    try:
        certificates = [x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in texts]
        certificates = [*certificates[:2], root]
        for one, oid in zip(certificates, APPLE, strict=False):
            one.extensions.get_extension_for_oid(oid)
        moment = datetime.fromtimestamp(now, UTC)
        for one, issuer in pairwise(certificates):
            one.verify_directly_issued_by(issuer)
            if not one.not_valid_before_utc <= moment <= one.not_valid_after_utc:
                return []
        key = certificates[0].public_key()
    except Exception:  # hostile certificates fail in many ways
        return []
    return [key] if isinstance(key, ec.EllipticCurvePublicKey) else []


TOKENS: dict[str, Callable[[Mapping[str, Any], Any, float], list[Any]]] = {"chain": verify_chain}
