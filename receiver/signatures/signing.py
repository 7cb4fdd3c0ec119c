"""Signs deliveries as the provider does, for schemes with a shared key: for `send`, rotation, and tests."""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from ..delivery import Delivery
from ..schemes import Scheme
from . import rfc9421
from .draft import Draft
from .jws import HASHED, SECRET, write_canonical_request
from .verify import PUBLIC, EitherKey, Key, NamedKey, Parts, compile_scheme

TEMPLATE_PLACES = re.compile(r"\{((?:header|json|form|query):[^}]+)\}")
TEMPLATE_ITEMS = re.compile(r"\{item:([^}]+)\}")
ADYEN_ITEM = "json:notificationItems.{}.NotificationRequestItem"
DEFAULTS = {"adyen": {f"{ADYEN_ITEM.format(0)}.success": "true"}}  # by builder: what a generated body holds


class Signed(NamedTuple):
    """A delivery that is ready to be sent. query: what belongs behind the URL."""

    headers: dict[str, str]
    body: bytes
    query: str = ""


def find_obstacle(scheme: Scheme) -> str:
    """Why nobody but the provider can sign deliveries of this scheme; "" if we can."""
    if scheme.family == "message":
        is_ours = scheme.key == "any" or scheme.key not in PUBLIC
    elif scheme.algorithms:
        is_ours = any(name in SECRET for name in scheme.algorithms)
    else:
        verifier = compile_scheme(scheme)
        is_ours = not isinstance(verifier, Parts) or verifier.algorithm.sign is not None or scheme.builder == "websub"
    return "" if is_ours else "only the provider can sign: it holds the private key"


def sign(
    scheme: Scheme, key: Key, body: bytes, kind: str, event: str, now: float, url: str = "", fill: bool = False
) -> Signed:
    """A valid delivery with this type and id. Raises ValueError where it cannot be made.

    url: as the provider calls it, without a query. fill: whether type and id are written into the body, too. A body
    that must hold the time, the signature or what is signed is written anew.
    """
    if obstacle := find_obstacle(scheme):
        raise ValueError(obstacle)
    draft = Draft(scheme, body, url)
    draft.headers |= {name: text.replace("{event}", event) for name, text in scheme.send_headers.items()}
    if isinstance(key, NamedKey):
        draft.put(scheme.key_id, key.id.decode())
        key = key.key
    if isinstance(key, EitherKey):
        key = key.keys[-1]
    if not isinstance(key, bytes):
        raise ValueError("only the provider can sign: the secret of this source is a public key")
    if fill:
        for one, text in DEFAULTS.get(scheme.builder, {}).items():
            draft.put_missing(one, text)
    draft.label(kind, event, fill)
    for one in TEMPLATE_PLACES.findall(scheme.signed):
        draft.put_missing(one, event)
    if scheme.builder in PREPARE:
        PREPARE[scheme.builder](draft, event)
    if scheme.family == "message" and scheme.separator:
        put_cavage_signature(draft, key, now)
    elif scheme.family == "message":
        put_message_signature(draft, key, now)
    elif scheme.builder == "adyen":
        put_adyen_signatures(draft, key)
    else:
        draft.put(
            scheme.signature[0] if scheme.signature else "header:x-hub-signature", make_value(draft, key, event, now)
        )
    return Signed(draft.headers, draft.body, draft.query)


def make_value(draft: Draft, key: bytes, event: str, now: float) -> str:
    """The text of the signature. Writes the timestamp, where it stands elsewhere."""
    scheme = draft.scheme
    if scheme.family == "token":
        return scheme.prefix + key.decode()
    if scheme.family == "basic":
        return "Basic " + base64.b64encode(key).decode()
    if scheme.algorithms:
        return scheme.prefix + make_token(scheme, key, draft.delivery, event, now)
    items_named = TEMPLATE_ITEMS.findall(scheme.signed)
    stamp = write_time(scheme, now) if scheme.timestamp or "t" in items_named else ""
    where, _, item = scheme.timestamp.partition(":")
    if where in ("header", "json", "form"):
        draft.put(scheme.timestamp, int(stamp) if scheme.unit == "ms" and where == "json" else stamp)
    elif where == "item" and scheme.pair:
        draft.items[item] = stamp
    for name in items_named:
        draft.items.setdefault(name, stamp if name == "t" else event)
    items = [f"{name}{scheme.pair}{text}" for name, text in draft.items.items()] or [stamp] * (where == "item")
    if draft.items and scheme.builder:  # the builder reads what stands beside the signature
        draft.put(scheme.signature[0], scheme.separator.join(items))
    verifier = compile_scheme(scheme)
    assert isinstance(verifier, Parts)
    known = {name.encode(): text.encode() for name, text in draft.items.items()}
    (algorithm, text), *_ = verifier.list_signing_texts(draft.delivery, stamp.encode(), known, key)
    assert algorithm.sign
    digest = scheme.prefix + algorithm.sign(key, text).decode()
    if scheme.builder == "websub":
        return f"sha256={digest}"
    version = scheme.version if scheme.version != "*" else scheme.parameter
    return (scheme.joiner or scheme.separator).join(
        [*items, f"{version}{scheme.pair}{digest}" if scheme.pair else digest]
    )


def write_time(scheme: Scheme, now: float) -> str:
    if scheme.unit == "iso":
        return datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
    if scheme.unit == "http":
        return format_datetime(datetime.fromtimestamp(int(now), UTC), usegmt=True)
    return str(int(now * 1000)) if scheme.unit == "ms" else str(int(now))


def make_token(scheme: Scheme, key: bytes, delivery: Delivery, event: str, now: float) -> str:
    """A JSON Web Token with the claims that the row wants, and an id of its own."""
    name = next(name for name in scheme.algorithms if name in SECRET)
    claims: dict[str, Any] = {"iat": int(now), "nbf": int(now), "exp": int(now) + 300, "jti": event}
    claims |= {claim: scheme.parameter if text == "{parameter}" else text for claim, text in scheme.claims.items()}
    for claim, how in scheme.hashes.items():
        what, _, encoding = how.partition(" ")
        data = {"url": delivery.url.encode(), "qsh": write_canonical_request(delivery)}.get(what, delivery.body)
        if what != "body?" or data:
            claims[claim] = HASHED[encoding](data)
    head = encode_part({"alg": name, "typ": "JWT"})
    text = f"{head}.{encode_part(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), SECRET[name])).rstrip(b"=").decode()
    return f"{text}.{signature}"


def encode_part(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def put_message_signature(draft: Draft, key: bytes, now: float) -> None:
    """RFC 9421, with HMAC-SHA256 over the components that the row wants."""
    names = [component.split("|")[0] for component in draft.scheme.covered]
    if "content-digest" in names:
        digest = base64.b64encode(hashlib.sha256(draft.body).digest()).decode()
        draft.headers["content-digest"] = f"sha-256=:{digest}:"
    raw = f'({" ".join(f"{chr(34)}{name}{chr(34)}" for name in names)});created={int(now)};alg="hmac-sha256"'
    text = rfc9421.build_signature_base(draft.delivery, [(name.encode(), b"") for name in names], raw.encode())
    signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    draft.headers |= {"signature-input": f"sig={raw}", "signature": f"sig=:{signature}:"}


def put_cavage_signature(draft: Draft, key: bytes, now: float) -> None:
    """draft-cavage-http-signatures-12, with HMAC-SHA256 over the target, the date and the digest of the body."""
    names = ["(request-target)", "date", "digest"]
    draft.headers["date"] = format_datetime(datetime.fromtimestamp(int(now), UTC), usegmt=True)
    draft.headers["digest"] = f"SHA-256={base64.b64encode(hashlib.sha256(draft.body).digest()).decode()}"
    text = rfc9421.build_cavage_text(draft.delivery, [name.encode() for name in names], {})
    signature = base64.b64encode(hmac.digest(key, text, "sha256")).decode()
    draft.put(
        draft.scheme.signature[0],
        f'keyId="receiver",algorithm="hs2019",headers="{" ".join(names)}",signature="{signature}"',
    )


def put_adyen_signatures(draft: Draft, key: bytes) -> None:
    """Every item of the batch is signed."""
    draft.put_missing(f"{ADYEN_ITEM.format(0)}.pspReference", "none")
    places = [
        f"{ADYEN_ITEM.format(number)}.additionalData.hmacSignature"
        for number in range(len(draft.delivery.json["notificationItems"]))
    ]
    for one in places:
        draft.put(one, "none")  # the builder wants one in each
    verifier = compile_scheme(draft.scheme)
    assert isinstance(verifier, Parts)
    for one, (algorithm, text) in zip(places, verifier.list_signing_texts(draft.delivery, b"", {}, key), strict=True):
        assert algorithm.sign
        draft.put(one, algorithm.sign(key, text).decode())


def bind_body(draft: Draft, event: str) -> None:
    """Twilio signs a form's fields; of another body it signs the digest in the URL."""
    if draft.body and not draft.headers["content-type"].endswith("urlencoded"):
        draft.put("query:bodySHA256", hashlib.sha256(draft.body).hexdigest())


def wrap_body(draft: Draft, event: str) -> None:
    """Braintree's body is a document in base64 in a field of a form."""
    if not draft.get("form", "bt_payload"):
        draft.body = urlencode({"bt_payload": base64.b64encode(draft.body).decode() + "\n"}).encode()


PREPARE: dict[str, Callable[[Draft, str], None]] = {
    "twilio": bind_body,
    "plivo": lambda draft, event: draft.put("header:x-plivo-signature-v3-nonce", event),
    "contentful": lambda draft, event: draft.put(
        "header:x-contentful-signed-headers", "x-contentful-signed-headers,x-contentful-timestamp,x-contentful-topic"
    ),
    "mercadopago": lambda draft, event: draft.put("header:x-request-id", event),
    "hubspot-old": lambda draft, event: draft.put("header:x-hubspot-signature-version", "v1"),
    "braintree": wrap_body,
    "websub": lambda draft, event: draft.put("header:x-hub-signature", "sha256="),
    "payos": lambda draft, event: draft.put_missing("json:data.reference", event),
    "listed-headers": lambda draft, event: draft.items.update(h="content-type"),
}
