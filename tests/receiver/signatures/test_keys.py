import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from receiver.signatures.keys import CHECKS, Jwks, decode_base64url, decode_signature, parse_public_key, parse_text_key

ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "ascii")


def b64(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8)).rstrip(b"=").decode()


def test_a_pem_in_all_the_ways_in_which_providers_print_it() -> None:
    text = pem(EC)
    wanted = EC.public_key()

    for form in (
        text,
        text.replace("\n", ""),
        "".join(text.split("\n")[1:-2]),
        base64.b64encode(text.encode()).decode(),
    ):
        assert parse_public_key("pem", form) == wanted


def test_no_key_is_that_long() -> None:
    with pytest.raises(ValueError, match="is no public key"):
        parse_public_key("pem", "A" * 1_000_000)


def test_a_set_of_keys() -> None:
    numbers, point = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
    rows = [
        {"kty": "RSA", "kid": "r", "n": b64(numbers.n), "e": b64(numbers.e)},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(point.x), "y": b64(point.y)},
        {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": base64.urlsafe_b64encode(ED.public_key().public_bytes_raw()).rstrip(b"=").decode(),
        },
    ]
    found = parse_public_key("jwks", json.dumps({"keys": rows}))

    assert isinstance(found, Jwks)
    assert found.get("r") == [RSA.public_key(), ED.public_key()]  # a key without an id may be any
    assert len(found.get("")) == 3
    assert parse_public_key("jwks", json.dumps(rows[1])) == Jwks((("e", EC.public_key()),))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("pem", "x"), ("pem", ""), ("pem", "-----BEGIN PUBLIC KEY-----AAAA-----END PUBLIC KEY-----"), ("raw-hex", "zz"),
        ("raw-hex", "00"), ("raw-base64", "AAAA"), ("whpk", "whpk_!"), ("jwks", "{}"), ("jwks", '{"keys": [{}]}'),
        ("jwks", '{"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}'), ("jwks", "{"), ("certificate", "x"), ("any", "no base64!"),
        ("pem", pem(dsa.generate_private_key(2048))),
    ],
)  # fmt: skip
def test_what_is_no_key_is_told_without_the_text(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="is no public key of this kind"):
        parse_public_key(kind, text)


def test_a_key_of_any_kind_may_be_a_secret() -> None:
    assert parse_public_key("any", "a2V5") == b"key"
    assert parse_public_key("any", pem(ED)) == ED.public_key()


@pytest.mark.parametrize(
    ("kind", "text", "key"),
    [
        ("text", "é", "é".encode()), ("nfkd", "é", b"e\xcc\x81"), ("hex", "0aFF", b"\x0a\xff"), ("base64", "a2V5", b"key"),
        ("whsec", "whsec_a2V5", b"key"), ("whsec", "a2V5", b"key"), ("whsec-or-text", "whsec_a2V5", b"key"),
        ("whsec-or-text", "a2V5", b"a2V5"), ("sha1", "", bytes.fromhex("da39a3ee5e6b4b0d3255bfef95601890afd80709")),
    ],
)  # fmt: skip
def test_a_secret_as_the_provider_means_it(kind: str, text: str, key: bytes) -> None:
    assert parse_text_key(kind, text) == key


@pytest.mark.parametrize(("kind", "text"), [("hex", "xyz"), ("base64", "whsec_a2V5"), ("whsec", "é"), ("base64", "a")])
def test_what_is_no_secret_of_its_kind(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not"):
        parse_text_key(kind, text)


@pytest.mark.parametrize(
    ("encoding", "text", "raw"),
    [
        ("hex", b"0aff", b"\x0a\xff"), ("hex", b"0af", None), ("base64", b"a2V5", b"key"), ("base64", b"a2V5\n", None),
        ("base64", b"a2W=", None), ("base64url", b"_-8", b"\xff\xef"), ("base64url", b"/+8", None), ("base64url", b"_-9", None),
    ],
)  # fmt: skip
def test_a_signature_is_written_in_one_way_only(encoding: str, text: bytes, raw: bytes | None) -> None:
    assert decode_signature(encoding, text) == raw


def test_a_key_of_another_kind_never_fits() -> None:
    signature = ED.sign(b"text")

    assert CHECKS["ed25519"](ED.public_key(), b"text", signature)
    for name, check in CHECKS.items():
        for key in (ED.public_key(), EC.public_key(), RSA.public_key(), b"secret", Jwks(())):
            assert not check(key, b"other", signature), name


def test_two_numbers_one_after_the_other_have_their_size() -> None:
    assert not CHECKS["ecdsa-p256-sha256"](EC.public_key(), b"text", b"\x01" * 63)
    assert not CHECKS["ecdsa-p384-sha384"](EC.public_key(), b"text", b"\x01" * 96)


def test_padding_has_no_place_in_base64url() -> None:
    for text in (b"YQ==", b"Y+", b"Y/"):
        with pytest.raises(ValueError, match="base64url"):
            decode_base64url(text)
