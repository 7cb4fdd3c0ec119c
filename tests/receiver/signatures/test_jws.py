import base64
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.signatures.keys import Jwks
from receiver.signatures.verify import verify

KEY, BODY, NOW = b"secret", b"{}", 1_700_000_000
RSA = rsa.generate_private_key(65537, 2048)
FUSION = replace(load_schemes()["fusionauth"], hashes={})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(header: Any, claims: Any, key: Any = KEY) -> str:
    text = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    if isinstance(key, bytes):
        return f"{text}.{b64(hmac.digest(key, text.encode(), 'sha256'))}"
    return f"{text}.{b64(key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def cause(value: str, scheme: Any = FUSION, keys: Any = (KEY,), body: bytes = BODY) -> str:
    header = scheme.signature[0].removeprefix("header:").encode()
    try:
        verify(scheme, Delivery([(header, value.encode())], body, "POST", "https://a/b"), list(keys), NOW)
    except BadSignature as error:
        return error.cause
    return "valid"


@pytest.mark.parametrize(
    ("header", "claims", "expected"),
    [
        ({"alg": "HS256"}, {}, "valid"),
        ({"alg": "none"}, {}, "algorithm"),
        ({"alg": "HS512"}, {}, "algorithm"),
        ({"alg": None}, {}, "algorithm"),
        ({"alg": ["HS256"]}, {}, "algorithm"),
        ({"alg": "HS256", "crit": ["exp"]}, {}, "algorithm"),
        ({"alg": "RS256"}, {}, "wrong"),  # a secret is no public key
        ([], {}, "malformed"),
        ({"alg": "HS256"}, [], "malformed"),
        ({"alg": "HS256"}, {"exp": NOW}, "valid"),
        ({"alg": "HS256"}, {"exp": NOW - 1}, "stale"),
        ({"alg": "HS256"}, {"nbf": NOW + 59}, "valid"),
        ({"alg": "HS256"}, {"nbf": NOW + 61}, "stale"),
        ({"alg": "HS256"}, {"exp": "soon"}, "malformed"),
        ({"alg": "HS256"}, {"exp": True}, "malformed"),
        ({"alg": "HS256"}, {"exp": 1e300}, "malformed"),
    ],
)
def test_a_token(header: Any, claims: Any, expected: str) -> None:
    assert cause(token(header, claims)) == expected


@pytest.mark.parametrize("value", ["", "a", "a.b", "a.b.c.d", "!.!.!", "é.é.é", token({"alg": "HS256"}, {})[:-1] + "="])
def test_what_is_no_token(value: str) -> None:
    assert cause(value) in ("missing", "malformed")


def test_a_very_long_token_is_not_looked_at() -> None:
    assert cause(token({"alg": "HS256"}, {"x": "y" * 20_000})) == "malformed"


def test_a_public_key_is_never_taken_for_a_secret() -> None:
    good = token({"alg": "RS256", "kid": "a"}, {}, RSA)

    assert cause(good, keys=[Jwks((("a", RSA.public_key()),))]) == "valid"
    assert cause(good, keys=[Jwks((("b", RSA.public_key()),))]) == "wrong"
    assert cause(good, keys=[RSA.public_key()]) == "valid"
    assert cause(token({"alg": "HS256"}, {}), keys=[RSA.public_key()]) == "wrong"


def test_a_claim_must_hold_what_the_operator_said() -> None:
    scheme = replace(FUSION, claims={"aud": "{parameter}", "iss": "x"}, parameter="mine")

    assert cause(token({"alg": "HS256"}, {"aud": "mine", "iss": "x"}), scheme) == "valid"
    assert cause(token({"alg": "HS256"}, {"aud": "theirs", "iss": "x"}), scheme) == "claim"
    assert cause(token({"alg": "HS256"}, {"aud": "mine"}), scheme) == "claim"


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"email": "a@p.example", "email_verified": True}, "valid"),
        ({"email": "b@p.example", "email_verified": True}, "claim"),
        ({"email": "a@p.example", "email_verified": False}, "claim"),
        ({"email": "a@p.example"}, "claim"),
    ],
)
def test_a_token_must_be_of_the_account_that_calls_us(claims: dict[str, Any], expected: str) -> None:
    """Anybody at Google can have tokens for any audience."""
    wanted = {"email": "{account}", "email_verified": "true"}

    assert (
        cause(token({"alg": "HS256"}, claims), replace(FUSION, hashes={}, claims=wanted, account="a@p.example"))
        == expected
    )
    nobody = replace(FUSION, hashes={}, claims={"email": "{account}"})
    assert cause(token({"alg": "HS256"}, claims), nobody) == "valid"


def test_the_age_of_a_token() -> None:
    scheme = replace(FUSION, timestamp="claim:iat", tolerance=300)

    assert cause(token({"alg": "HS256"}, {"iat": NOW - 300}), scheme) == "valid"
    assert cause(token({"alg": "HS256"}, {"iat": NOW - 301}), scheme) == "stale"
    assert cause(token({"alg": "HS256"}, {}), scheme) == "missing"
    assert cause(token({"alg": "HS256"}, {"iat": NOW * 1000}), replace(scheme, unit="ms")) == "valid"


def test_a_hash_that_may_be_absent_is_so_only_without_a_body() -> None:
    scheme = replace(FUSION, hashes={"h": "body? sha256-hex"})

    assert cause(token({"alg": "HS256"}, {}), scheme, body=b"") == "valid"
    assert cause(token({"alg": "HS256"}, {}), scheme) == "wrong"
    assert cause(token({"alg": "HS256"}, {"h": "x"}), scheme, body=b"") == "wrong"
    assert cause(token({"alg": "HS256"}, {"h": 5}), scheme) == "wrong"


def test_a_detached_signature_of_the_body_in_base64url() -> None:
    scheme = replace(load_schemes()["saleor"], algorithms=("HS256",))
    head = b64(b'{"alg":"HS256"}')
    signature = b64(hmac.digest(KEY, f"{head}.{b64(BODY)}".encode(), "sha256"))

    assert cause(f"{head}..{signature}", scheme) == "valid"
    assert cause(f"{head}.{b64(BODY)}.{signature}", scheme) == "malformed"
    assert cause(f"{head}..{signature}", scheme, body=b"{ }") == "wrong"
