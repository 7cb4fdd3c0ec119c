import json
from dataclasses import replace
from typing import Any

import pytest

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import Scheme, load_schemes
from receiver.signatures.diagnosis import describe_headers, diagnose
from receiver.signatures.verify import decode_key, verify
from tests.support.kit import sign_headers

NOW, SECRET = 1_700_000_000, "c2VjcmV0LXNlY3JldA=="
BODY = '{"a":1,"ü":[1,2]}'.encode()
ZYRA, SLACK, STRIPE, SQUARE = (load_schemes()[name] for name in ("zyra", "slack", "stripe", "square"))


def told(
    scheme: Scheme, headers: dict[str, str], body: bytes = BODY, url: str = "", now: float = NOW, **more: Any
) -> str:
    delivery = Delivery([(name.encode(), value.encode()) for name, value in headers.items()], body, "POST", url)
    with pytest.raises(BadSignature) as caught:
        verify(scheme, delivery, [decode_key(scheme, SECRET)], now)
    return diagnose(scheme, delivery, caught.value.cause, [SECRET], now, **more)


def made(scheme: Scheme, body: bytes = BODY, key: Any = None, url: str = "") -> dict[str, str]:
    return sign_headers(scheme, key or decode_key(scheme, SECRET), body, "a", "e", NOW, url)


def test_a_previous_secret() -> None:
    assert "a previous secret" in told(ZYRA, made(ZYRA, key=b"old"), previous=["older", "old"])


def test_the_secret_of_another_source() -> None:
    assert "the secret of source b" in told(ZYRA, made(ZYRA, key=b"other"), others={"a": ["x"], "b": ["other"]})


@pytest.mark.parametrize(("key", "kind"), [(b"secret-secret", "base64"), (SECRET.encode() + b"\n", "newline")])
def test_a_secret_that_is_read_otherwise(key: bytes, kind: str) -> None:
    assert kind in told(ZYRA, made(ZYRA, key=key))


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (BODY + b"\n", "a trailing newline was lost"),
        (BODY + b"\r\n", "a trailing CR LF was lost"),
        (json.dumps(json.loads(BODY), indent=2).encode(), "written again"),
        (json.dumps(json.loads(BODY), ensure_ascii=False).encode(), "written again"),
    ],
)
def test_a_body_that_was_changed_on_the_way(signed: bytes, reason: str) -> None:
    assert reason in told(ZYRA, made(ZYRA, body=signed))


def test_blanks_around_the_body() -> None:
    assert "blanks around" in told(ZYRA, made(ZYRA), body=BODY + b"  ")


def test_another_encoding_or_no_prefix() -> None:
    other = replace(ZYRA, encoding="base64")
    hub = load_schemes()["github"]

    assert "is base64, where the scheme says hex" in told(ZYRA, made(other))
    assert "prefix before the signature is missing" in told(hub, made(replace(hub, prefix="")))


def test_another_url() -> None:
    headers = made(SQUARE, url="http://a/hooks?x=1")

    assert "public_url may have to be like http://a/hooks" in told(SQUARE, headers, url="https://a/hooks?x=1")


@pytest.mark.parametrize(
    ("scheme", "now", "reason"),
    [
        (SLACK, NOW + 400, "400 s in the past, and 300 s are allowed"),
        (SLACK, NOW - 400, "400 s in the future"),
        (STRIPE, NOW + 400, "400 s in the past"),
    ],
)
def test_a_time_that_is_off(scheme: Scheme, now: float, reason: str) -> None:
    assert reason in told(scheme, made(scheme), now=now)


def test_a_time_that_stands_in_a_token() -> None:
    vonage = load_schemes()["vonage"]

    assert "outside of the window" in told(vonage, made(vonage), now=NOW + 1000)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "is signing switched on"),
        ({"x-zyra-signature": "x"}, "not written as the scheme says"),
        ({"x-zyra-signature": "0" * 64}, "wrong secret, or"),
    ],
)
def test_what_else_may_be(headers: dict[str, str], reason: str) -> None:
    assert reason in told(ZYRA, headers)
    assert reason in told(ZYRA, headers, body=b"x" * 300_000)


def test_an_explanation_that_takes_too_long_is_given_up() -> None:
    reason = told(ZYRA, made(ZYRA, key=b"old"), previous=["old"], seconds=0, timer=iter((0.0, 1.0)).__next__)

    assert reason == "wrong secret, or the body was changed on the way (not all that could explain it was tried)"


def test_a_key_of_the_provider_that_does_not_fit() -> None:
    assert "no key of the provider's fits" in diagnose(
        load_schemes()["discord"], Delivery([], BODY, "POST", ""), "wrong", [], NOW
    )


@pytest.mark.parametrize("signed", ["https://a/hooks", "https://b/hooks"])
def test_a_query_that_is_not_signed_or_another_host(signed: str) -> None:
    reason = told(SQUARE, made(SQUARE, url=signed), url="https://a/hooks?x=1")

    assert ("public_url may have to be like https://a/hooks" in reason) == (signed == "https://a/hooks")


def test_of_credentials_only_the_length_is_told() -> None:
    headers = [
        (b"x-zyra-signature", b"secret"),
        (b"authorization", b"secret"),
        (b"x-other", b"secret"),
        (b"user-agent", b"u"),
    ]
    found = describe_headers(ZYRA, Delivery([*headers, (b"x-zyra-event", b"a.b")], b""))

    assert found == {
        "x-zyra-signature": "(6 bytes)",
        "authorization": "(6 bytes)",
        "user-agent": "u",
        "x-zyra-event": "a.b",
    }
