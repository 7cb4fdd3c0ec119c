"""The table as a whole: what holds for every row."""

import base64
import contextlib
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from receiver import handshakes
from receiver.contract.body import read
from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import OFFICIAL, Scheme, load_schemes, traits
from receiver.signatures import builders, jws, signing
from receiver.signatures.draft import encode_payload
from receiver.signatures.header import SKEW_SECONDS
from receiver.signatures.signing import Signed
from receiver.signatures.verify import PUBLIC, compile_scheme, decode_key, verify
from receiver.sources import Source
from tests.support.receiver import accept_delivery
from tests.support.signed import NOW, SIGNED, URL, body_of, deliver, secret
from tests.support.vectors import DATA

NGROK = [
    "aftership",
    "airship",
    "alchemy",
    "aws-sns",
    "autodesk",
    "bitbucket",
    "bolt",
    "box",
    "brex",
    "buildkite",
    "calendly",
    "castle",
    "chargify",
    "circleci",
    "clearbit",
    "clerk",
    "coinbase-commerce",
    "contentful",
    "docusign",
    "dropbox",
    "meta",
    "frameio",
    "github",
    "gitlab",
    "go1",
    "heroku",
    "hostedhooks",
    "hubspot",
    "hygraph",
    "intercom",
    "jira",
    "launchdarkly",
    "linear",
    "mailchimp",
    "mailgun",
    "microsoft-teams",
    "modern-treasury",
    "mongodb-atlas",
    "mux",
    "orb",
    "pagerduty",
    "pinwheel",
    "plivo",
    "pusher",
    "sendgrid",
    "sentry",
    "shopify",
    "signal-sciences",
    "slack",
    "sonatype-nexus",
    "square",
    "stripe",
    "svix",
    "terraform",
    "tiktok",
    "trendmicro-conformity",
    "twilio",
    "x-twitter",
    "typeform",
    "vmware-workspace",
    "webex",
    "worldline",
    "xero",
    "zendesk",
    "zoom",
]


def refused(scheme: Scheme, delivery: Delivery, *keys: Any, now: float = NOW) -> bool:
    try:
        verify(scheme, delivery, keys, now)
    except BadSignature:
        return True
    return False


def test_every_row_makes_sense_and_says_where_it_comes_from() -> None:
    for name, row in load_schemes().items():
        assert compile_scheme(row), name
        assert row.title, name
        assert row.source, name
        assert row.confidence in (*OFFICIAL, "secondary", "unconfirmed"), name
        assert row.primitive != "none" or row.signature == ("query:secret",), name


def test_each_builder_is_described() -> None:
    assert set(traits.BUILDERS) == {"", *builders.BUILDERS, *builders.TOKENS, *jws.PAYLOADS}


def test_a_confirmed_row_has_a_positive_vector_that_others_made() -> None:
    proved = {name for entry in DATA["vectors"] if entry["valid"] for name in (entry["provider"], entry["scheme"])}
    confirmed = {name for name, row in load_schemes().items() if row.is_confirmed}

    assert {name for name, row in load_schemes().items() if row.vector} <= proved
    assert len(confirmed) >= 90


def test_all_that_ngrok_verifies_are_there() -> None:
    assert set(NGROK) - {"orbit"} <= set(load_schemes())


@pytest.mark.parametrize("name", SIGNED)
def test_what_we_sign_we_verify_and_no_change_of_it(name: str) -> None:
    scheme = replace(load_schemes()[name], parameter="p")
    key, other, body = decode_key(scheme, secret(scheme)), decode_key(scheme, secret(scheme, "o")), body_of(scheme)
    made = signing.sign(scheme, key, body, "a.b", "id1", NOW, URL)

    good = deliver(scheme, made)
    assert verify(scheme, good, [other, key], NOW) == 1
    assert refused(scheme, good, other)
    assert refused(scheme, good)
    for changed in changes(scheme, made):
        assert refused(scheme, changed, key), changed.headers
    if scheme.timestamp and scheme.tolerance:
        for now in (NOW - max(scheme.tolerance, SKEW_SECONDS) - 2, NOW + scheme.tolerance + 2):
            assert refused(scheme, good, key, now=now) or (scheme.future == "any" and now < NOW)


@pytest.mark.parametrize("name", SIGNED)
def test_what_send_makes_is_an_event_of_its_type(name: str) -> None:
    scheme = replace(load_schemes()[name], parameter="p")
    key = decode_key(scheme, secret(scheme))
    kind = ".".join(["created"] * max(1, len(scheme.type)))
    body = encode_payload(scheme, {"id": "e1", "data": {"n": 0.5}})

    made = signing.sign(scheme, key, body, kind, "id1", NOW, URL, fill=True)

    found = accept_delivery(Source(name="x", scheme=scheme, secrets=()), deliver(scheme, made), NOW, [key])
    assert found.event.labels.type == (kind if scheme.type else "event")
    assert (found.event.labels.delivery_id != "") == bool(scheme.identity)
    read(found.event.content)


def changes(scheme: Scheme, made: Signed) -> Iterator[Delivery]:
    """Each signed byte changed, and the signature's header missing, doubled, cut or not ASCII."""
    body, headers = made.body, made.headers
    if scheme.covers == "body" and not scheme.signs_content:
        for at in range(len(body)):
            yield deliver(scheme, made._replace(body=body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))
        yield deliver(scheme, made._replace(body=body + b" "))
        yield deliver(scheme, made._replace(body=body[:-1]))
    if "{url}" in scheme.signed or "url" in " ".join(scheme.hashes.values()):
        yield deliver(scheme, made, url=URL.replace("abc", "abd"))
    counted = [name for name in headers if "{header:" + name in scheme.signed or scheme.timestamp == f"header:{name}"]
    for name in counted:
        yield deliver(scheme, made._replace(headers=headers | {name: headers[name] + "1"}))
        yield deliver(scheme, made._replace(headers=headers | {name: ""}))
    place, _, header = (scheme.signature or ("",))[0].partition(":")
    if place != "header":
        return
    header = header.partition("|")[0]
    text = headers[header]
    for bad in ("", text[:-1], text + "A", "é" + text[1:], text[::-1], "\x00", "v1", "," * 50):
        yield deliver(scheme, made._replace(headers=headers | {header: bad}))
    if not scheme.repeated and scheme.family != "message":  # RFC 9421, 4.1: its fields are dictionaries
        yield deliver(scheme, made, (header, text))


def public(kind: str) -> str:
    made: dict[str, Any] = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed": ed25519.Ed25519PrivateKey.generate,
    }
    key = made[kind]().public_key()
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "ascii")


PEMS = [public(kind) for kind in ("rsa", "ec", "ed")]
RAW = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()


def keys(scheme: Scheme) -> list[Any]:
    if scheme.key in ("pem", "jwks", "any"):
        return [decode_key(scheme, text) for text in PEMS]
    if scheme.key in PUBLIC:
        return (
            []
            if scheme.key == "certificate"
            else [decode_key(scheme, {"raw-hex": RAW.hex()}.get(scheme.key, base64.b64encode(RAW).decode()))]
        )
    return [decode_key(scheme, secret(scheme))]


class Garbage:
    """Deliveries that look a little like the provider's."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> bytes:
        draw, size = self.random, self.random.choice([0, 1, 20, 40, 64, 88, 128, 500])
        token = b".".join(
            base64.urlsafe_b64encode(part).rstrip(b"=") for part in (self.header(), self.json(), b"x" * 32)
        )
        return draw.choice([
            draw.randbytes(size), draw.randbytes(size).hex().encode(), base64.b64encode(draw.randbytes(size)), token,
            b"t=%d,v1=%s" % (NOW, draw.randbytes(32).hex().encode()), b"v1," + base64.b64encode(draw.randbytes(32)),
            b"1700000000", b"2023-11-14T22:13:20Z", b"Tue, 14 Nov 2023 22:13:20 GMT", b"9" * 400, b"\xff" * 20, b"",
            b'sig=("@method" "x-a";sf);created=1700000000', b"sig=:AAAA:", b"Basic " + base64.b64encode(draw.randbytes(9)),
            b"Bearer " + token, b'keyId="k",headers="(request-target) digest date",signature="AAAA"', b"=,=;=|&" * 5,
            b"https://sns.us-east-1.amazonaws.com/a.pem",
        ])  # fmt: skip

    def header(self) -> bytes:
        alg = self.random.choice(["HS256", "RS256", "ES256", "none", "EdDSA", 5, None, "HS512"])
        return json.dumps(
            {"alg": alg, "kid": self.random.choice(["", 1, None]), "x5c": ["AAAA", "AAAA", 3], "b64": False}
        ).encode()

    def json(self) -> bytes:
        value: Any = self.random.choice([None, 5, 1e300, "x", [], {}, True, "é", -1, {"a": [1]}])
        names = [
            "exp",
            "iat",
            "iss",
            "type",
            "id",
            "signature",
            "event",
            "notificationItems",
            "value",
            "Type",
            "Timestamp",
        ]
        return json.dumps(dict.fromkeys(self.random.sample(names, 4), value)).encode()

    def body(self) -> bytes:
        draw = self.random
        return draw.choice([
            b"", draw.randbytes(30), self.json(), b"[" * 2000, b"a=%ff&a=1&json={", b"\xff\xfe", b"[" + self.json() + b"]",
            b"--x\r\ncontent-disposition: form-data; name=json\r\n\r\n{}\r\n--x--", self.header(), b'{"a":1e999}', b"&" * 5000,
        ])  # fmt: skip

    def delivery(self, scheme: Scheme) -> Delivery:
        places = [*scheme.signature, scheme.timestamp, scheme.key_id, scheme.ours, *scheme.type]
        places += scheme.remote.named if scheme.remote else ()
        names = [name[7:].partition("|")[0] for name in places if name.startswith("header:")]
        names += [
            *scheme.require,
            *(place[7:] for place in scheme.identity if place.startswith("header:")),
            "content-type",
            "x-a",
            "signature-input",
            "content-digest",
            "date",
            "digest",
        ]
        headers = [(name.encode(), self.text()) for name in names if name and self.random.random() < 0.8]
        kind = self.random.choice(
            [b"application/json", b"multipart/form-data; boundary=x", b"multipart/form-data", b"\xff"]
        )
        headers.append((b"content-type", kind))
        query = "&".join(f"{name[6:]}=%FF" for name in places if name.startswith("query:"))
        url = self.random.choice(
            [URL, "", "https://[", "//x:99999999/", f"https://a/?{query}", "https://a/?bodySHA256=x"]
        )
        return Delivery(headers, self.body(), self.random.choice(["POST", "GET", "PUT"]), url)


@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_random_deliveries_raise_nothing_else(seed: int) -> None:
    garbage, rows = Garbage(seed), [(row, keys(row)) for row in load_schemes().values()]

    for number in range(10_000):
        scheme, known = rows[number % len(rows)]
        one = garbage.delivery(scheme)
        for act in (verify, handshakes.answer):
            with contextlib.suppress(BadSignature):
                act(scheme, one, known, NOW)
        labels = Source(name="x", scheme=scheme, secrets=()).labels
        seen = labels.peek(one, labels.format(one))
        (kind, _), identity = labels.type(one, seen), labels.identity(one, seen)
        assert kind
        labels.marks(one, identity, kind)


def test_ids_and_types_of_rows_are_places_that_can_be_read() -> None:
    for name, row in load_schemes().items():
        labels = Source(name="x", scheme=row, secrets=()).labels
        for body in (b"{}", b"[]", b"[{}]", b"a=b", b"\xff"):
            one = Delivery([], body)
            assert isinstance(labels.peek(one, labels.format(one)), dict), name
