import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.signatures.keys import Jwks
from receiver.signatures.verify import verify

KEY, BODY, NOW = b"secret", b"{}", 1_700_000_000
URL = "https://Example.com:443/in/abc?a=1&b=%20x"
DIGEST = b"sha-256=:" + base64.b64encode(hashlib.sha256(BODY).digest()) + b":"
STRICT, LOOSE, CAVAGE = (
    load_schemes()["rfc9421"],
    load_schemes()["rfc9421-hmac-sha256"],
    load_schemes()["http-signatures-cavage"],
)
INPUT = f'("content-digest" "@method" "@target-uri");created={NOW}'
LINES = f'"content-digest": {DIGEST.decode()}\n"@method": POST\n"@target-uri": {URL}\n'


def mac(text: str) -> bytes:
    return base64.b64encode(hmac.digest(KEY, text.encode(), "sha256"))


def cause(
    scheme: Any, headers: list[tuple[bytes, bytes]], keys: Any = (KEY,), body: bytes = BODY, now: float = NOW
) -> str:
    try:
        verify(scheme, Delivery(headers, body, "POST", URL), list(keys), now)
    except BadSignature as error:
        return error.cause
    return "valid"


def signed(inner: str, lines: str, *more: tuple[bytes, bytes], label: str = "sig") -> list[tuple[bytes, bytes]]:
    signature = mac(f'{lines}"@signature-params": {inner}')
    return [
        (b"signature-input", f"{label}={inner}".encode()),
        (b"signature", b"%b=:%b:" % (label.encode(), signature)),
        *more,
    ]


def test_a_signature_over_the_digest_the_method_and_the_target() -> None:
    headers = signed(INPUT, LINES, (b"content-digest", DIGEST))

    assert cause(STRICT, headers) == "valid"
    assert cause(STRICT, headers, body=b"[]") == "digest"
    assert cause(STRICT, headers, now=NOW + 301) == "stale"
    assert cause(STRICT, headers, now=NOW - 59) == "valid"
    assert cause(STRICT, headers, now=NOW - 61) == "stale"
    assert cause(STRICT, headers, keys=[b"other"]) == "wrong"
    assert cause(STRICT, headers[:2]) == "missing"
    assert cause(STRICT, headers[1:]) == "missing"


@pytest.mark.parametrize(
    ("inner", "lines", "expected"),
    [
        (f'("@method");created={NOW}', '"@method": POST\n', "valid"),
        ('("@method")', '"@method": POST\n', "missing"),
        (f'("@method");created={NOW};expires={NOW - 9}', '"@method": POST\n', "stale"),
        (f'("@method");created={NOW};alg="hmac-sha256"', '"@method": POST\n', "valid"),
        (f'("@method");created={NOW};alg="ed25519"', '"@method": POST\n', "wrong"),
        ('("@method");created=soon', '"@method": POST\n', "malformed"),
        (f'("@method" "@method");created={NOW}', "", "repeated"),
        (f'("@method";sf);created={NOW}', "", "malformed"),
        (f'("@status");created={NOW}', "", "malformed"),
        (f'("x-none");created={NOW}', "", "missing"),
        (f'("@authority" "@scheme" "@path" "@query" "@request-target");created={NOW}',
         '"@authority": example.com\n"@scheme": https\n"@path": /in/abc\n"@query": ?a=1&b=%20x\n"@request-target": /in/abc?a=1&b=%20x\n', "valid"),
        (f'("@query-param";name="a");created={NOW}', '"@query-param";name="a": 1\n', "valid"),
        (f'("@query-param";name="none");created={NOW}', "", "malformed"),
        (f'("x-list");created={NOW}', '"x-list": a, b\n', "valid"),
    ],
)  # fmt: skip
def test_components_and_parameters(inner: str, lines: str, expected: str) -> None:
    assert cause(LOOSE, signed(inner, lines, (b"x-list", b" a "), (b"x-list", b"b"))) == expected


@pytest.mark.parametrize("inner", ["", "x", '("a" b)', '("a);created=1', "();", "(" * 50, "a" * 9000, '("a")=1, '])
def test_what_is_no_signature_input(inner: str) -> None:
    headers = [(b"signature-input", b"sig=" + inner.encode()), (b"signature", b"sig=:AAAA:")]

    assert cause(LOOSE, headers) in ("malformed", "missing")


def test_what_must_be_covered_must_be() -> None:
    assert cause(STRICT, signed(f'("@method");created={NOW}', '"@method": POST\n')) == "uncovered"


def test_one_of_several_labels_is_enough() -> None:
    good, other = signed(INPUT, LINES, (b"content-digest", DIGEST)), b'x=("@method");created=1, '
    headers = [
        (good[0][0], b"y=();created=1, " + other + good[0][1]),
        (good[1][0], b"x=:AAAA:, " + good[1][1]),
        good[2],
    ]

    assert cause(STRICT, headers) == "valid"


@pytest.mark.parametrize("value", [b"md5=:AAAA:", b"sha-256=:AAAA:", b"sha-256=:A:", b"sha-256=AAAA"])
def test_a_digest_that_is_none(value: bytes) -> None:
    lines = LINES.replace(DIGEST.decode(), value.decode())

    assert cause(STRICT, signed(INPUT, lines, (b"content-digest", value))) in ("digest", "malformed")


def test_the_key_says_which_algorithm_it_is() -> None:
    inner = f'("@method");created={NOW}'
    text = f'"@method": POST\n"@signature-params": {inner}'.encode()
    ed, p256, p384 = (
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
    )
    big = rsa.generate_private_key(65537, 2048)

    def raw(key: Any, digest: Any, size: int) -> bytes:
        r, s = utils.decode_dss_signature(key.sign(text, ec.ECDSA(digest)))
        return r.to_bytes(size) + s.to_bytes(size)

    made: list[tuple[Any, bytes]] = [
        (ed, ed.sign(text)), (p256, raw(p256, hashes.SHA256(), 32)), (p384, raw(p384, hashes.SHA384(), 48)),
        (big, big.sign(text, padding.PKCS1v15(), hashes.SHA256())),
        (big, big.sign(text, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())),
    ]  # fmt: skip
    for key, signature in made:
        headers = [
            (b"signature-input", b"s=" + inner.encode()),
            (b"signature", b"s=:" + base64.b64encode(signature) + b":"),
        ]
        assert cause(LOOSE, headers, [key.public_key()]) == "valid"
        assert cause(LOOSE, headers, [Jwks((("k", key.public_key()),))]) == "valid"
        assert cause(LOOSE, headers, ["no key"]) == "wrong"


OLD = b"SHA-256=" + base64.b64encode(hashlib.sha256(BODY).digest())
DATE = b"Tue, 14 Nov 2023 22:13:20 GMT"


def cavage(names: str, lines: str, *more: tuple[bytes, bytes], items: str = "") -> list[tuple[bytes, bytes]]:
    value = f'keyId="k",algorithm="hs2019",{items}headers="{names}",signature="{mac(lines).decode()}"'
    return [(b"signature", value.encode()), (b"date", DATE), (b"digest", OLD), *more]


TARGET = "(request-target): post /in/abc?a=1&b=%20x\n"


def test_the_draft_before() -> None:
    headers = cavage("(request-target) date digest", f"{TARGET}date: {DATE.decode()}\ndigest: {OLD.decode()}")

    assert cause(CAVAGE, headers) == "valid"
    assert cause(CAVAGE, headers, body=b"[]") == "digest"
    assert cause(CAVAGE, headers, now=NOW + 301) == "stale"
    assert cause(CAVAGE, [(b"authorization", b"Signature " + headers[0][1]), *headers[1:]]) == "valid"
    assert cause(CAVAGE, headers[1:]) == "missing"


def test_the_draft_with_its_own_time() -> None:
    headers = cavage(
        "(request-target) (created) digest",
        f"{TARGET}(created): {NOW}\ndigest: {OLD.decode()}",
        items=f"created={NOW},",
    )

    assert cause(CAVAGE, headers) == "valid"
    assert cause(CAVAGE, headers, now=NOW + 301) == "stale"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("date", "uncovered"),
        ("(request-target) digest", "uncovered"),
        ("(request-target) date digest x-none", "missing"),
    ],
)
def test_what_the_draft_must_cover(names: str, expected: str) -> None:
    assert cause(CAVAGE, cavage(names, "")) == expected


def test_a_date_that_is_none() -> None:
    headers = cavage("(request-target) date digest", "")
    headers[1] = (b"date", b"yesterday")

    assert cause(CAVAGE, headers) == "malformed"
    assert cause(CAVAGE, [(b"signature", b"x"), *headers[1:]]) == "malformed"
    assert cause(replace(CAVAGE), [(b"signature", b'keyId="k"'), *headers[1:]]) == "uncovered"
