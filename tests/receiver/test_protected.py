"""What is not signed changes nothing that a handler sees, but for what a row lists as open.

Every delivery that we can sign, and every one that others made, is changed in all its parts; what still verifies must
have the same identity, type and payload, but in the parts that `Scheme.open_parts` names.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import pytest

from receiver.contract.body import read
from receiver.contract.errors import Unreadable
from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import Scheme, load_schemes
from receiver.signatures import signing
from receiver.signatures.verify import Key, decode_key
from receiver.sources import Accepted, Source
from tests.support.receiver import accept_delivery
from tests.support.signed import NOW, SIGNED, URL, body_of, deliver, secret
from tests.support.vectors import DATA, delivery, row

Change = tuple[str, Delivery]  # a word for the part that was changed: header NAME, url or body


@dataclass(frozen=True, kw_only=True)
class Sample:
    scheme: Scheme
    keys: tuple[Key, ...]
    delivery: Delivery
    now: float


def own(name: str) -> Sample:
    """A delivery that we signed."""
    scheme = replace(load_schemes()[name], parameter="p")
    key, body = decode_key(scheme, secret(scheme)), body_of(scheme)
    made = signing.sign(scheme, key, body, "a.b", "id1", NOW, URL)
    return Sample(scheme=scheme, keys=(key,), delivery=deliver(scheme, made), now=NOW)


def others(entry: dict[str, Any]) -> Sample:
    """A delivery that the provider's library signed."""
    scheme, secrets = row(entry), list(entry["secrets"])
    if scheme.needs and not scheme.ours and len(secrets) > 1:
        scheme = replace(scheme, parameter=secrets.pop(0))
    keys = tuple(decode_key(scheme, text) for text in secrets)
    return Sample(scheme=scheme, keys=keys, delivery=delivery(entry, scheme), now=entry["now"])


SAMPLES = {f"own-{name}": lambda name=name: own(name) for name in SIGNED}
SAMPLES |= {
    entry["id"]: lambda entry=entry: others(entry)
    for entry in DATA["vectors"]
    if entry["valid"] and entry["method"] == "POST"
}


def changes(one: Delivery) -> Iterator[Change]:
    headers = list(one.headers)

    def with_headers(found: list[tuple[bytes, bytes]]) -> Delivery:
        return Delivery(found, one.body, one.method, one.url, one.raw)

    def with_body(body: bytes) -> Delivery:
        return Delivery(headers, body, one.method, one.url)

    for kind in (b"", b"text/plain", b"application/json", b"multipart/form-data; boundary=x", b"multipart/form-data"):
        changed = [(name, value) for name, value in headers if name != b"content-type"]
        yield "header content-type", with_headers([*changed, (b"content-type", kind)])
    for at, (name, value) in enumerate(headers):
        word = f"header {name.decode()}"
        yield word, with_headers(headers[:at] + headers[at + 1 :])
        for new in (value + b"1", b"other", b"order.created", b"2"):
            yield word, with_headers([*headers[:at], (name, new), *headers[at + 1 :]])
        yield word, with_headers([*headers, (name, b"other")])
        yield word, with_headers([(name, b"other"), *headers])
    path, _, query = one.url.partition("?")
    for url in (f"{path}?a=1", f"{path}?{query}&a=1", f"{path}?{query}&type=x&topic=y&id=5&data.id=6", path):
        yield "url", Delivery(headers, one.body, one.method, url, one.raw)
    for body in bodies(one):
        yield "body", with_body(body)


def bodies(one: Delivery) -> Iterator[bytes]:
    body = one.body
    yield from (
        body + b" ",
        body + b"\n",
        b" " + body,
        b"\xef\xbb\xbf" + body,
        body[:-1],
        b"",
        body.upper(),
        b"{}",
        b"[]",
    )
    yield from (b"{" + body, b"a=1", body + b"&a=1", b"a=1&" + body, body + b"\r\n--x--")
    if body[:1] == b"{":
        yield b'{"id":"evt_other","type":"other","event":"other",' + body[1:]
        yield body[:-1] + b',"id":"evt_other","type":"other","event":"other"}'
    try:
        document = json.loads(body)
        yield from (
            json.dumps(document).encode(),
            json.dumps(document, indent=2).encode(),
            json.dumps([document]).encode(),
        )
    except (ValueError, RecursionError):
        pass
    try:
        fields = one.form
    except BadSignature:
        return
    pairs = [(quote(name), quote(value)) for name, value in fields]
    for found in (pairs, pairs[::-1], pairs + pairs[:1], pairs + pairs[-1:], pairs[1:], sorted(pairs)):
        yield "&".join(f"{name}={value}" for name, value in found).encode()
    for name, _ in pairs[:5]:
        yield body + f"&{name}=other".encode()
        yield f"{name}=other&".encode() + body
    for boundary, extra in (
        (b"x", b""),
        (b"y", b'--y\r\ncontent-disposition: form-data; name="MessageStatus"\r\n\r\nz\r\n'),
    ):
        parts = [
            b'--%b\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (boundary, name.encode(), value.encode())
            for name, value in fields
        ]
        yield b"".join([*parts, extra, b"--" + boundary + b"--\r\n"])
        yield b"".join([extra, *parts, b"--" + boundary + b"--\r\n"])


def seen(accepted: Accepted) -> tuple[Any, Any, Any]:
    event = accepted.event
    try:
        payload = read(event.content)
    except Unreadable as error:
        payload = f"unreadable: {error}"
    return event.labels.delivery_id, event.labels.type, payload


def is_open(scheme: Scheme, part: str) -> bool:
    """Whether the row says that this part is not protected."""
    parts = scheme.open_parts
    if part == "body":
        return any("body" in one or "plain digest" in one for one in parts)
    return part in parts


def still_accepted(sample: Sample) -> Iterator[tuple[str, Delivery, Accepted, Accepted]]:
    """Changes of a delivery that hold all the same: the part, what was sent, what was accepted, and the genuine one."""
    source = Source(name="x", scheme=sample.scheme, secrets=())
    genuine = accept_delivery(source, sample.delivery, sample.now, sample.keys)
    for part, changed in changes(sample.delivery):
        try:
            found = accept_delivery(source, changed, sample.now, sample.keys)
        except BadSignature:
            continue
        yield part, changed, found, genuine


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_not_signed_changes_nothing(name: str) -> None:
    sample = SAMPLES[name]()

    for part, sent, found, genuine in still_accepted(sample):
        same = seen(found) == seen(genuine) and found.mark == genuine.mark
        assert same or is_open(sample.scheme, part), (part, sent.headers, sent.url, sent.body, seen(found))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_second_delivery_of_what_is_signed_is_known_by_it(name: str) -> None:
    """Whatever unsigned id or type comes with it: the mark of what is signed is the same, or the event's mark is."""
    sample = SAMPLES[name]()

    for part, sent, found, genuine in still_accepted(sample):
        if part == "body" and sample.scheme.covers != "body":
            continue  # it is another body, which the row says
        assert found.mark == genuine.mark or found.signed_mark == genuine.signed_mark != "", (part, sent.headers)
