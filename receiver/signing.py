"""Signs as a provider does, where we hold the key: for `zyra-receiver send`, the sandbox of others, and tests."""

import base64
import hmac
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from .delivery import Delivery
from .jws import HASHED, SECRET
from .schemes import Scheme
from .signatures import Named, Parts, compiled

HEADERS = re.compile(r"\{header:([^}|]+)")


def possible(scheme: Scheme) -> bool:
    """A secret key, and places that are headers: what stands in a body or in the URL is the provider's to write."""
    if (
        not scheme.signature
        or not scheme.signature[0].startswith("header:")
        or "qsh" in scheme.hashes
        or scheme.primitive in ("http-signatures", "asym-key", "asym-remote", "jws-asym", "hmac-fields")
    ):
        return False
    unknown = any(text in scheme.signed for text in ("{json", "{form:", "{query", "{item"))
    return not scheme.builder and not unknown and not scheme.timestamp.startswith(("json:", "form:"))


def headers(scheme: Scheme, key: Any, body: bytes, kind: str, event: str, now: float, url: str = "") -> dict[str, str]:
    """The headers that make a delivery of this body valid. Raises ValueError where the row cannot be signed by us."""
    if not possible(scheme):
        raise ValueError("deliveries of this scheme cannot be made here: its key is the provider's alone")
    found = {"content-type": "application/json" if "json" in scheme.body else "application/x-www-form-urlencoded"}
    named = [name.partition("|")[0] for name in HEADERS.findall(scheme.signed)]
    found |= dict.fromkeys(named, event)
    for name in [item[7:].partition("|")[0] for item in scheme.identity if item.startswith("header:")]:
        found[name] = event
    if scheme.type and scheme.type[0].startswith("header:"):
        found[scheme.type[0].removeprefix("header:")] = kind
    found |= dict(scheme.require)
    if isinstance(key, Named):
        found[scheme.key_id.removeprefix("header:")] = key.id.decode()
        key = key.key
    text = value(scheme, key, body, found, now, url)
    found[scheme.signature[0].removeprefix("header:").partition("|")[0]] = text
    return found


def value(scheme: Scheme, key: Any, body: bytes, found: dict[str, str], now: float, url: str) -> str:
    """The text of the signature. Adds the timestamp to the headers, where it stands in one."""
    if scheme.primitive in ("static-token", "none"):
        return scheme.prefix + str(key.decode())
    if scheme.primitive == "basic-auth":
        return "Basic " + base64.b64encode(key).decode()
    if scheme.algorithms:
        return scheme.prefix + token(scheme, key, body, now, url)
    stamp = written(scheme, now)
    place, _, name = scheme.timestamp.partition(":")
    if place == "header":
        found[name.partition("|")[0]] = stamp
    delivery = Delivery([(k.encode(), v.encode()) for k, v in found.items()], body, url=url)
    parts = compiled(scheme)
    assert isinstance(parts, Parts)
    assert parts.algorithm.sign
    digest = scheme.prefix + parts.algorithm.sign(key, parts.text(delivery, stamp.encode(), {}, key)).decode()
    items = [f"{name}{scheme.pair}{stamp}"] if place == "item" and scheme.pair else [stamp] if place == "item" else []
    return scheme.separator.join([*items, f"{scheme.version}{scheme.pair}{digest}" if scheme.pair else digest])


def written(scheme: Scheme, now: float) -> str:
    if scheme.unit == "iso":
        return datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
    if scheme.unit == "http":
        return format_datetime(datetime.fromtimestamp(int(now), UTC), usegmt=True)
    return str(int(now * 1000)) if scheme.unit == "ms" else str(int(now))


def token(scheme: Scheme, key: bytes, body: bytes, now: float, url: str) -> str:
    """A JSON Web Token with the claims that the row wants."""
    name = next(name for name in scheme.algorithms if name in SECRET)
    claims: dict[str, Any] = {"iat": int(now), "nbf": int(now), "exp": int(now) + 300}
    claims |= {claim: scheme.parameter if text == "{parameter}" else text for claim, text in scheme.claims.items()}
    for claim, how in scheme.hashes.items():
        what, _, encoding = how.partition(" ")
        data = url.encode() if what == "url" else body
        if what != "body?" or data:
            claims[claim] = HASHED[encoding](data)
    head = encoded({"alg": name, "typ": "JWT"})
    text = f"{head}.{encoded(claims)}"
    signature = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), SECRET[name])).rstrip(b"=").decode()
    return f"{text}.{signature}"


def encoded(document: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()
