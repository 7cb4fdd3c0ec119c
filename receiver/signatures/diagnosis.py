"""Finds the most likely reason why a delivery was refused, for the operator. The sender never sees it.

Pure, and no part of verification: it tries what people and proxies get wrong, which costs many times what a
verification costs, so it runs seldom and away from the loop.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..delivery import Delivery, compile_place
from ..errors import BadSignature
from ..schemes import Scheme
from .header import SignatureReader
from .header import parse_timestamp as seconds_of
from .verify import PUBLIC, build_verifier, decode_key

MAX_BODY_BYTES = 64 * 1024  # of a body that is tried in other forms
ENCODINGS = ("hex", "hex-any", "base64", "base64url", "hex-upper")
WRONG = "wrong secret, or the body was changed on the way"
REASONS = {
    "missing": "a header or field that the scheme needs is not there: is it this provider, and is signing switched on?",
    "repeated": "a header that counts stands twice: does a proxy add it?",
    "version": "the delivery names another version or algorithm than the scheme",
    "algorithm": "the delivery names an algorithm that the scheme does not allow",
    "key-url": "the provider's key is said to be at a place that the scheme does not allow",
    "uncovered": "the signature does not cover what the scheme wants covered",
    "claim": "a claim of the token is not the one that is wanted",
    "digest": "the digest of the body is not the one that was signed: the body was changed on the way",
    "not-ours": "it is signed for another account than the one that `parameter` names",
    "no-key": "the provider knows no key of the name that the delivery gives",
    "challenge": "its text is one that our answer to a challenge signs for anybody: no provider sent it",
    "unset": "the answer to the challenge contains `parameter`, which the source does not set",
    "not-waiting": "the provider tells a secret, and the source waits for none: see `learned:` in docs/providers.md",
}


def diagnose(
    scheme: Scheme,
    delivery: Delivery,
    cause: str,
    secrets: Sequence[str],
    now: float,
    *,
    previous: Sequence[str] = (),
    others: Mapping[str, Sequence[str]] | None = None,
    seconds: float = float("inf"),
    timer: Callable[[], float] = time.perf_counter,
) -> str:
    """previous: secrets that were configured before. others: the secrets of other sources. seconds: it may take."""
    if cause == "stale":
        return describe_clock(scheme, delivery, now)
    ends = timer() + seconds
    for reason, one, how, texts in try_causes(scheme, delivery, secrets, previous, others or {}):
        if timer() > ends:
            return f"{REASONS.get(cause, WRONG)} (not all that could explain it was tried)"
        if is_valid(how, one, texts, now):
            return reason
        time.sleep(0)  # others may have the interpreter
    if cause == "malformed":
        return "the value of the signature is not written as the scheme says: another scheme, or another version of it?"
    if scheme.key in PUBLIC and cause == "wrong":
        return "no key of the provider's fits: the body was changed on the way, or somebody else signed it"
    return REASONS.get(cause, WRONG)


Attempt = tuple[str, Delivery, Scheme, Sequence[str]]


def try_causes(
    scheme: Scheme,
    delivery: Delivery,
    secrets: Sequence[str],
    previous: Sequence[str],
    others: Mapping[str, Sequence[str]],
) -> Iterator[Attempt]:
    yield "the secret that the source has by now: it did not have it then", delivery, scheme, secrets
    yield "a previous secret: the provider still signs with it", delivery, scheme, previous
    for name, texts in others.items():
        yield f"the secret of source {name}: is the endpoint's URL the right one?", delivery, scheme, texts
    for texts in (secrets, [secret.strip() for secret in secrets], [secret + "\n" for secret in secrets]):
        for kind in ("text", "base64", "hex", "whsec"):
            cause = "a secret that is to be read otherwise" if texts == secrets else "a secret with a blank or newline"
            yield f"{cause} (as {kind})", delivery, replace(scheme, key=kind, strip=(), suffix=""), texts
    if len(delivery.body) <= MAX_BODY_BYTES:
        for reason, body in vary_bodies(delivery.body):
            yield reason, replace_body(delivery, body), scheme, secrets
    for encoding in ENCODINGS:
        yield (
            f"the signature is {encoding}, where the scheme says {scheme.encoding}",
            delivery,
            replace(scheme, encoding=encoding),
            secrets,
        )
    yield "the prefix before the signature is missing", delivery, replace(scheme, prefix=""), secrets
    if scheme.wants_url:
        for url in vary_urls(delivery.url):
            reason = f"the provider called another URL: public_url may have to be like {url.partition('?')[0]}"
            yield reason, replace_url(delivery, url), scheme, secrets


def vary_bodies(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Forms that the body may have had before a proxy changed it."""
    yield "a trailing newline was lost on the way", body + b"\n"
    yield "a trailing CR LF was lost on the way", body + b"\r\n"
    yield "blanks around the body were added on the way", body.strip()
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    for written in ({"separators": (",", ":")}, {}, {"indent": 2}, {"indent": 4}):
        for ascii_only in (False, True):
            text = json.dumps(document, ensure_ascii=ascii_only, **written)
            yield "the body was parsed and written again on the way", text.encode("utf-8", "replace")


def vary_urls(url: str) -> Iterator[str]:
    path, mark, query = url.partition("?")
    swapped = (
        path.replace("https://", "http://", 1) if path.startswith("https") else path.replace("http://", "https://", 1)
    )
    for one in (swapped, path.rstrip("/"), path + "/", swapped.rstrip("/"), swapped + "/"):
        yield one + mark + query
    yield path


def describe_clock(scheme: Scheme, delivery: Delivery, now: float) -> str:
    """How far the signed time is off, where it can be read."""
    kind, _, name = scheme.timestamp.partition(":")
    try:
        if kind == "item":
            text = SignatureReader(scheme).read(delivery)[0][1].get(name.encode(), b"")
        else:
            text = compile_place(scheme.timestamp)(delivery)
        off = now - seconds_of(text, scheme.unit)
    except (BadSignature, ValueError):
        return "the signed time is outside of the window: a late retry, or a wrong clock?"
    when = f"{abs(off):.0f} s in the {'past' if off > 0 else 'future'}"
    return f"the signed time is {when}, and {scheme.tolerance} s are allowed: a late retry, or a wrong clock?"


def is_valid(scheme: Scheme, delivery: Delivery, secrets: Sequence[str], now: float) -> bool:
    keys: list[Any] = []
    for secret in secrets:
        try:
            keys.append(decode_key(scheme, secret))
        except ValueError:
            continue
    try:
        build_verifier(scheme).verify(delivery, keys, now)  # not `compiled`, which keeps what it makes
    except (BadSignature, ValueError, KeyError):
        return False
    return True


def replace_body(delivery: Delivery, body: bytes) -> Delivery:
    return Delivery(delivery.headers, body, delivery.method, delivery.url)


def replace_url(delivery: Delivery, url: str) -> Delivery:
    return Delivery(delivery.headers, delivery.body, delivery.method, url, delivery.raw)


def describe_headers(scheme: Scheme, delivery: Delivery) -> dict[str, str]:
    """The headers for the operator. Of anything that may be a credential, only the length."""
    plain = {"content-type", "user-agent", "content-length", "date"}
    places = (*scheme.identity, *scheme.type, scheme.timestamp)
    plain |= {name for place in places if place.startswith("header:") for name in place[7:].split("|")}
    secret = {name for place in scheme.signature for name in place.removeprefix("header:").split("|")}
    secret |= {"authorization", "cookie"}
    described = {}
    for raw, value in delivery.headers:
        name = raw.decode("latin-1")
        if name in secret:
            described[name] = f"({len(value)} bytes)"
        elif name in plain:
            described[name] = value.decode("latin-1")[:200]
    return described
