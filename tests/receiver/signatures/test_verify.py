from typing import Any

import msgspec
import pytest

from receiver.delivery import Delivery
from receiver.errors import BadSignature
from receiver.schemes import load_schemes
from receiver.schemes import parse_scheme as row
from receiver.signatures.verify import NamedKey, compile_scheme, decode_key, verify
from tests.support.kit import sign_headers


def delivery(headers: dict[str, str] | list[tuple[str, str]], body: bytes = b"{}") -> Delivery:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return Delivery([(name.lower().encode(), value.encode("latin-1")) for name, value in pairs], body)


HUB = "x-hub-signature-256"
ZYRA = load_schemes()["zyra"]
GOOD = sign_headers(ZYRA, b"key", b"{}", "a", "", 0)["x-zyra-signature"]


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("", "missing"),
        ("0" * 64, "wrong"),
        (GOOD.upper(), "wrong"),
        (GOOD[:-1], "malformed"),
        (GOOD + "0", "malformed"),
        (" " + GOOD, "malformed"),
        ("sha256=" + GOOD, "malformed"),
        (GOOD + "," + GOOD, "malformed"),
        ("é" * 64, "malformed"),
        ("\x00" * 64, "wrong"),
    ],
)
def test_garbage_in_the_signature_header(value: str, cause: str) -> None:
    with pytest.raises(BadSignature) as caught:
        verify(ZYRA, delivery({"x-zyra-signature": value}), [b"key"], 0)

    assert caught.value.cause == cause


@pytest.mark.parametrize("pair", [(GOOD, "0" * 64), ("0" * 64, GOOD), (GOOD, GOOD)])
def test_a_repeated_signature_header_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(BadSignature, match="repeated"):
        verify(ZYRA, delivery([("x-zyra-signature", value) for value in pair]), [b"key"], 0)


STANDARD = load_schemes()["standard-webhooks"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"webhook-timestamp": ""}, "missing"),
        ({"webhook-timestamp": "1e3"}, "malformed"),
        ({"webhook-timestamp": "-5"}, "malformed"),
        ({"webhook-timestamp": "²"}, "malformed"),
        ({"webhook-timestamp": "9" * 13}, "malformed"),
        ({"webhook-timestamp": "5000"}, "stale"),
        ({"webhook-id": ""}, "missing"),
        ({"webhook-id": "a.b"}, "malformed"),
        ({"webhook-timestamp": "9" * 12}, "stale"),
        ({"webhook-signature": "v1"}, "malformed"),
        ({"webhook-signature": "v1a,AAAA"}, "malformed"),
        ({"webhook-signature": "v1,AAAA"}, "malformed"),
    ],
)
def test_garbage_in_standard_webhooks_headers(change: dict[str, str], cause: str) -> None:
    headers = sign_headers(STANDARD, b"k" * 24, b"{}", "", "id", 1000) | change

    with pytest.raises(BadSignature) as caught:
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)

    assert caught.value.cause == cause


def test_a_long_list_of_signatures_is_no_work() -> None:
    headers = sign_headers(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = " ".join(["v2,x"] * 20 + [headers["webhook-signature"]])

    with pytest.raises(BadSignature, match="malformed"):
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_é", "no base64!"])
def test_a_key_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="is "):
        decode_key(STANDARD, secret)


def test_the_twentieth_signature_still_counts() -> None:
    headers = sign_headers(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = " ".join(["v2,x"] * 19 + [headers["webhook-signature"]])

    assert verify(STANDARD, delivery(headers), [b"k" * 24], 1000) == 0


def test_signatures_are_apart_by_a_space_and_nothing_else() -> None:
    headers = sign_headers(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = "v2,x\t" + headers["webhook-signature"]

    with pytest.raises(BadSignature, match="malformed"):
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)


@pytest.mark.parametrize("prefix", ["sha512=", "", "SHA256=", "sha256"])
def test_another_prefix_is_no_signature(prefix: str) -> None:
    scheme = load_schemes()["github"]
    headers = sign_headers(scheme, b"key", b"{}", "push", "id", 1000)
    headers[HUB] = prefix + headers[HUB].removeprefix("sha256=")

    with pytest.raises(BadSignature, match="malformed"):
        verify(scheme, delivery(headers), [b"key"], 1000)


def test_a_time_with_a_fraction_is_signed_as_whole_seconds() -> None:
    headers = sign_headers(STANDARD, b"k" * 24, b"{}", "", "id", 1000.7)

    assert verify(STANDARD, delivery(headers), [b"k" * 24], 1001) == 0
    assert "" not in headers


def test_other_headers_may_stand_twice() -> None:
    """Proxies add what they like: only a header that counts must be there once."""
    scheme, body = load_schemes()["github"], b"{}"
    good = sign_headers(scheme, b"key", body, "push", "d1", 0)
    twice = [(b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b")]
    headers = [*twice, *((name.encode(), value.encode()) for name, value in good.items())]

    assert verify(scheme, Delivery(headers, body), [b"key"], 0) == 0


def test_a_signature_that_stands_twice_has_a_cause_of_its_own() -> None:
    scheme = load_schemes()["github"]
    value = sign_headers(scheme, b"key", b"{}", "push", "d1", 0)[HUB].encode()

    with pytest.raises(BadSignature) as caught:
        verify(scheme, Delivery([(HUB.encode(), value)] * 2, b"{}"), [b"key"], 0)

    assert caught.value.cause == "repeated"


def made(**columns: Any) -> Any:
    return row(
        {
            "title": "t",
            "primitive": "hmac-body",
            "source": "s",
            "confidence": "own",
            "signature": ["header:x"],
            **columns,
        }
    )


@pytest.mark.parametrize(
    ("columns", "headers", "expected"),
    [
        ({"separator": ",", "pair": "=", "version": "v1"}, {"x": "v0=a,v1="}, "malformed"),
        ({"groups": " ", "separator": ",", "pair": "=", "version": "v1", "timestamp": "item:t"}, {"x": "v1=" + "0" * 64}, "missing"),
        ({"require": {"y": "1"}}, {"x": "0" * 64, "y": "2"}, "version"),
        ({"remote": {"url": "{named}", "named": ["header:u"], "pattern": "https://a/.*"}}, {"x": "0" * 64, "u": "https://b/"}, "key-url"),
        ({"ours": "header:u", "parameter": "me"}, {"x": "0" * 64, "u": "you"}, "not-ours"),
        ({"signature": ["header-json:u:s"]}, {"u": "no base64!"}, "malformed"),
        ({"timestamp": "header:t", "unit": "iso"}, {"x": "0" * 64, "t": "yesterday"}, "malformed"),
        ({"timestamp": "header:t", "unit": "iso"}, {"x": "0" * 64, "t": "9" * 50}, "malformed"),
        ({"timestamp": "header:t", "unit": "http"}, {"x": "0" * 64, "t": "Tue, 99 Nov"}, "malformed"),
        ({"timestamp": "header:t", "tolerance": 5, "future": "never"}, {"x": "0" * 64, "t": "1"}, "stale"),
        ({"signed": "{header:id}.{body}"}, {"x": "0" * 64, "id": "a.b"}, "malformed"),
        ({"signed": "{item:h}"}, {"x": "0" * 64}, "missing"),
        ({"signed": "{body_json}"}, {"x": "0" * 64}, "malformed"),
        ({"repeated": True}, {"y": "1"}, "missing"),
    ],
)  # fmt: skip
def test_what_a_row_wants_must_be_there(columns: dict[str, Any], headers: dict[str, str], expected: str) -> None:
    with pytest.raises(BadSignature) as caught:
        verify(made(**columns), delivery(headers, b"\xff"), [b"key"], 0)

    assert caught.value.cause == expected


@pytest.mark.parametrize(
    "columns",
    [
        {"signed": "{nothing}"},
        {"algorithm": "sha256"},
        {"signed": "{body!r}"},
        {"algorithm": "hmac-none"},
        {"signature": ["cookie:x"]},
        {"signed": "{"},
    ],
)
def test_a_row_that_makes_no_sense_is_told_when_it_is_loaded(columns: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):  # config.py names the row
        compile_scheme(made(**columns))


def test_a_column_that_there_is_not_is_no_column() -> None:
    with pytest.raises(msgspec.ValidationError):
        made(timestamp=5)


def test_a_key_with_an_id_counts_only_where_it_is_named() -> None:
    scheme = made(key_id="header:k")
    good = sign_headers(scheme, NamedKey(b"a", b"key"), b"{}", "", "", 0)
    named = [decode_key(scheme, "b:other"), decode_key(scheme, "a:key")]

    assert verify(scheme, delivery(good), named, 0) == 1
    assert verify(scheme, delivery(good), [decode_key(scheme, "key")], 0) == 0  # one without an id counts always
    with pytest.raises(BadSignature, match="wrong"):
        verify(scheme, delivery(good | {"k": "c"}), named, 0)


def test_what_we_cannot_sign_is_told() -> None:
    with pytest.raises(ValueError, match="holds the private key"):
        sign_headers(load_schemes()["telnyx"], b"", b"", "", "", 0)
