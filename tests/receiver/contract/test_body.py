import base64
from typing import Any

import pytest

from receiver.contract.body import read, read_fields
from receiver.contract.errors import Unreadable
from receiver.contract.records import Body, Content


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (b"[]", []),
        (b'"text"', "text"),
        (b"5", 5),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b"[" * 100 + b"]" * 100, None),
        (b"1" * 4300, None),
        (b'{"a":1.50,"b":"\\u00e9\\/","c":1E2,"d":-0}', {"a": 1.5, "b": "é/", "c": 100.0, "d": 0}),
        (b' {"a" : [ 1 , {} ] } ', {"a": [1, {}]}),
        (b"", {}),
        (b"\xef\xbb\xbf{}", {}),  # a byte order mark
        (b'{"id": 1, "id": 2}', {"id": 2}),  # as all readers do that take it at all
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_what_is_read(body: bytes, value: Any) -> None:
    assert value is None or read(Content(body=body)) == value


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"{", "not-json"),
        (b"{} {}", "not-json"),
        ("{}".encode("utf-16"), "not-utf-8"),
        ('"é"'.encode("latin-1"), "not-utf-8"),
        (b"NaN", "constant"),
        (b'{"a": -Infinity}', "constant"),
        (b"[1e999]", "constant"),
        (b"[" * 101 + b"]" * 101, "too-deep"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too-deep"),
        (b"1" * 4301, "long-number"),
    ],
)
def test_what_is_not(body: bytes, cause: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(Content(body=body))

    assert caught.value.cause == cause


def form(body: bytes, **more: Any) -> Any:
    return read(Content(body=body, format=Body.FORM, **more))


def test_forms_and_raw_bodies() -> None:
    assert form(b"a=1&a=2&b=&c&%E9=+") == {"a": ["1", "2"], "b": [""], "c": [""], "\ufffd": [" "]}
    assert form(b"") == {}
    assert read(Content(body=b"\xff", format=Body.RAW)) is None


def test_the_claims_of_a_token_are_its_payload() -> None:
    claims = base64.urlsafe_b64encode('{"type": "ü?>", "n": 1}'.encode()).rstrip(b"=")

    assert read(Content(body=b"e30." + claims + b".c2ln\n", format=Body.TOKEN)) == {"type": "ü?>", "n": 1}
    for bad in (b"no token", b"a.?.b", b"a.e3.b", b"a.W1.b"):
        with pytest.raises(Unreadable):
            read(Content(body=bad, format=Body.TOKEN))


def test_a_form_whose_order_is_not_signed_reads_the_same_in_any_order() -> None:
    one, other = form(b"a=2&b=3&a=1&a=2", unordered=True), form(b"a=1&a=2&b=3", unordered=True)

    assert one == other == {"a": ["1", "2"], "b": ["3"]}


def test_json_in_the_only_field_of_a_form() -> None:
    assert form(b"payload=%7B%22a%22%3A1%7D", json_field="payload") == {"a": 1}
    assert form(b"payload=%7B%7D&b=1", json_field="payload") == {"payload": ["{}"], "b": ["1"]}
    assert form(b"payload=%7B%7D") == {"payload": ["{}"]}
    with pytest.raises(Unreadable, match="not-json"):
        form(b"payload=x", json_field="payload")


PART = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n%b\r\n%b\r\n'
END = b"--x--\r\n"


def test_a_multipart_form() -> None:
    body = PART % (b"a", b"", b"", b"1") + PART % (b"b;=c", b"", b"Content-Type: text/plain\r\n", b"--y\r\n\r\n2")
    binary = PART % (b"f", b'; filename="a.bin"', b"", b"\xff\x00") + PART % (
        b"g",
        b"",
        b"content-type: a/b\r\n",
        b"\xff",
    )

    assert read_fields(body + binary + END) == [("a", "1"), ("b;=c", "--y\r\n\r\n2")]
    assert form(body + binary + END) == {"a": ["1"], "b;=c": ["--y\r\n\r\n2"]}


@pytest.mark.parametrize(
    "body",
    [
        PART % (b"a", b"", b"", b"1"),  # no end
        PART % (b"a", b"", b"", b"1") + b"--x\r\nContent-Dis",  # cut
        b"--\r\n--\r\n",
        b"--" + b"x" * 71 + b"\r\n",
        PART % (b"a", b"", b"", b"\xff") + END,
        PART % (b"", b"", b"", b"1") + END,
        PART % (b"a", b'; name="b"', b"", b"1") + END,
        PART % (b"a", b"", b'Content-Disposition: form-data; name="b"\r\n', b"1") + END,
        PART % (b"a", b"", b"x-a: " + b"y" * 2000 + b"\r\n", b"1") + END,
        PART % (b"a", b"", b"x-a: y\r\n" * 40, b"1") + END,
        b"--x\r\n\r\n1\r\n" + END,
        b"a=1&" * 20_000,
    ],
)
def test_what_is_no_form(body: bytes) -> None:
    with pytest.raises(Unreadable, match="not-form"):
        form(body)
