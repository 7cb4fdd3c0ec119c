import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import BadSignature
from receiver.schemes import Scheme, table
from receiver.signatures import Delivery, decode_key, sign, verify

VECTORS = json.loads((Path(__file__).parent.parent / "data/vectors.json").read_text())


def delivery(headers: dict[str, str] | list[tuple[str, str]], body: bytes = b"{}") -> Delivery:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return Delivery([(name.lower().encode(), value.encode("latin-1")) for name, value in pairs], body)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vectors_made_elsewhere(vector: dict[str, Any]) -> None:
    scheme = table()[vector["scheme"]]
    keys = [decode_key(scheme, secret) for secret in vector["secrets"]]
    one = delivery([(name, value) for name, value in vector["headers"]], base64.b64decode(vector["body_b64"]))

    try:
        verify(scheme, one, keys, vector["now"])
        valid = True
    except BadSignature:
        valid = False

    assert valid is vector["valid"], vector["cause"]


@pytest.mark.parametrize("name", list(table()))
def test_what_we_sign_we_verify(name: str) -> None:
    scheme, key = table()[name], b"k" * 32
    headers = sign(scheme, key, b"body", "a.b", "id1", 1000)

    assert verify(scheme, delivery(headers, b"body"), [b"other", key], 1000) == 1


ZYRA = table()["zyra"]
GOOD = sign(ZYRA, b"key", b"{}", "a", "", 0)["x-zyra-signature"]


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


STANDARD = table()["standard-webhooks"]


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
    headers = sign(STANDARD, b"k" * 24, b"{}", "", "id", 1000) | change

    with pytest.raises(BadSignature) as caught:
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)

    assert caught.value.cause == cause


def test_a_long_list_of_signatures_is_no_work() -> None:
    headers = sign(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = " ".join(["v2,x"] * 20 + [headers["webhook-signature"]])

    with pytest.raises(BadSignature, match="malformed"):
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)


@given(
    name=st.sampled_from(list(table())),
    headers=st.lists(
        st.tuples(
            st.sampled_from(
                ["x-zyra-signature", "x-hub-signature-256", "webhook-signature", "webhook-id", "webhook-timestamp"]
            ),
            st.binary(max_size=100),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=50),
)
def test_hostile_input_raises_one_family_only(name: str, headers: list[tuple[str, bytes]], body: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(table()[name], Delivery([(key.encode(), value) for key, value in headers], body), [b"key"], 1000)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_é", "no base64!"])
def test_a_key_that_is_none_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="is "):
        decode_key(STANDARD, secret)


def test_every_row_has_its_source() -> None:
    for row in table().values():
        assert isinstance(row, Scheme)
        assert row.source.startswith("https://")


def test_the_twentieth_signature_still_counts() -> None:
    headers = sign(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = " ".join(["v2,x"] * 19 + [headers["webhook-signature"]])

    assert verify(STANDARD, delivery(headers), [b"k" * 24], 1000) == 0


def test_signatures_are_apart_by_a_space_and_nothing_else() -> None:
    headers = sign(STANDARD, b"k" * 24, b"{}", "", "id", 1000)
    headers["webhook-signature"] = "v2,x\t" + headers["webhook-signature"]

    with pytest.raises(BadSignature, match="malformed"):
        verify(STANDARD, delivery(headers), [b"k" * 24], 1000)


@pytest.mark.parametrize("prefix", ["sha512=", "", "SHA256=", "sha256"])
def test_another_prefix_is_no_signature(prefix: str) -> None:
    scheme = table()["github"]
    headers = sign(scheme, b"key", b"{}", "push", "id", 1000)
    headers[scheme.header] = prefix + headers[scheme.header].removeprefix("sha256=")

    with pytest.raises(BadSignature, match="malformed"):
        verify(scheme, delivery(headers), [b"key"], 1000)


def test_a_time_with_a_fraction_is_signed_as_whole_seconds() -> None:
    headers = sign(STANDARD, b"k" * 24, b"{}", "", "id", 1000.7)

    assert verify(STANDARD, delivery(headers), [b"k" * 24], 1001) == 0
    assert "" not in headers


def test_other_headers_may_stand_twice() -> None:
    """Proxies add what they like: only a header that counts must be there once."""
    scheme, body = table()["github"], b"{}"
    good = sign(scheme, b"key", body, "push", "d1", 0)
    twice = [(b"x-forwarded-for", b"a"), (b"x-forwarded-for", b"b")]
    headers = [*twice, *((name.encode(), value.encode()) for name, value in good.items())]

    assert verify(scheme, Delivery(headers, body), [b"key"], 0) == 0


def test_a_signature_that_stands_twice_has_a_cause_of_its_own() -> None:
    scheme = table()["github"]
    value = sign(scheme, b"key", b"{}", "push", "d1", 0)[scheme.header].encode()

    with pytest.raises(BadSignature) as caught:
        verify(scheme, Delivery([(scheme.header.encode(), value)] * 2, b"{}"), [b"key"], 0)

    assert caught.value.cause == "repeated"


def test_the_first_of_unsigned_headers_counts() -> None:
    found = Delivery([(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff")], b"")

    assert (found.text(b"a"), found.text(b"b"), found.text(b"c"), found.header(b"c")) == ("1", "", "", b"")
