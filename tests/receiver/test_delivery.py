import gzip

import pytest

from receiver.contract.body import MAX_FIELDS
from receiver.delivery import Delivery, compile_place, inflate, read_path_and_query
from receiver.errors import BadSignature, TooLarge

JSON = b'{"a": {"b": "x", "n": 1.50, "t": true, "none": null}, "l": [{"k": "1"}, {"k": "1"}], "m": [{"k": "1"}, {"k": "2"}]}'


def form(body: bytes, kind: bytes = b"application/x-www-form-urlencoded") -> Delivery:
    return Delivery([(b"content-type", kind)], body, "POST", "https://a/b?q=1&r=&q2=%C3%A9&s=1&s=2")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("json:a.b", b"x"), ("json:a.n", b"1.50"), ("json:a.t", b"true"), ("json:a.none", b""), ("json:a.c", b""),
        ("json:a.b.c", b""), ("json:l.0.k", b"1"), ("json:l.*.k", b"1"), ("json:l.9.k", b""), ("json:a", b""),
        ("query:q", b"1"), ("query:r", b""), ("query:q2", "é".encode()), ("query:none", b""), ("body:", JSON),
        ("header:content-type", b"application/x-www-form-urlencoded"), ("header:x|content-type", b"application/x-www-form-urlencoded"),
        ("header:x", b""), ("header:x|y", b""),
    ],
)  # fmt: skip
def test_what_stands_in_a_place(name: str, found: bytes) -> None:
    assert compile_place(name)(form(JSON)) == found


@pytest.mark.parametrize("name", ["json:m.*.k", "query:s"])
def test_two_values_are_none(name: str) -> None:
    with pytest.raises(BadSignature, match="repeated"):
        compile_place(name)(form(JSON))


@pytest.mark.parametrize(
    ("body", "name"),
    [(b"{", "json:a"), (b"[" * 100_000, "json:a"), (b"a=%ff", "form:a"), (b"a=1&" * (MAX_FIELDS + 1), "form:a"),
     (b"a={", "form:a:b"), (b"a=1&a=2", "form:a")],
)  # fmt: skip
def test_what_cannot_be_read_is_a_bad_delivery(body: bytes, name: str) -> None:
    with pytest.raises(BadSignature):
        compile_place(name)(form(body))


def test_what_is_of_another_format_holds_nothing_of_this_one() -> None:
    assert compile_place("form:a")(form(b"{a=1")) == compile_place("form:a:b")(form(b"{a=1")) == b""
    assert compile_place("json:a")(form(b"\xff")) == compile_place("json:a")(form(b"a=1")) == b""
    assert compile_place("json:a|form:b")(form(b"b=1")) == b"1"
    assert compile_place("json:a|form:b")(form(b'{"a": "2"}')) == b"2"


def test_json_in_a_field_of_a_form() -> None:
    assert compile_place("form:a:b.c")(form(b'a={"b":{"c":"x"}}')) == b"x"
    assert compile_place("form:a:b")(form(b"c=1")) == b""


def test_a_multipart_form() -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="json"\r\n\r\n{"a": "1"}\r\n--x--\r\n'

    for kind in (b"multipart/form-data; boundary=x", b"multipart/form-data", b"application/json"):  # nobody signs it
        assert compile_place("form:json:a")(form(body, kind)) == b"1"
    with pytest.raises(BadSignature, match="malformed"):
        compile_place("form:json")(form(body.replace(b"{", b"\xff"), b"multipart/form-data; boundary=x"))


def test_what_is_no_place_is_a_fault_of_the_row() -> None:
    with pytest.raises(ValueError, match="is no place"):
        compile_place("cookie:x")


def test_a_form_is_read_once() -> None:
    one = form(b"a=1")

    assert one.form is one.form


def test_a_small_body_does_not_become_a_large_one() -> None:
    assert inflate(gzip.compress(b"x" * 1000), 1000) == b"x" * 1000
    with pytest.raises(TooLarge):
        inflate(gzip.compress(b"x" * 1001), 1000)


@pytest.mark.parametrize(
    "body", [b"", b"no gzip", gzip.compress(b"x", mtime=0)[:-1], gzip.compress(b"x", mtime=0) + b"more"]
)
def test_what_is_no_gzip_is_a_bad_delivery(body: bytes) -> None:
    with pytest.raises(BadSignature, match="malformed"):
        inflate(body, 1000)


def test_a_repeated_header_that_may_be_must_be_ascii() -> None:
    one = Delivery([(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff")], b"")

    assert one.all(b"a") == [b"1", b"2"]
    with pytest.raises(BadSignature, match="malformed"):
        one.all(b"b")


def test_the_path_as_it_stands() -> None:
    assert [read_path_and_query(url) for url in ("https://a", "https://a/b%20c?d=1", "https://a/b?")] == [
        "/",
        "/b%20c?d=1",
        "/b",
    ]


def test_the_first_of_unsigned_headers_counts() -> None:
    found = Delivery([(b"a", b"1"), (b"a", b"2"), (b"b", b"\xff")], b"")

    assert (found.text(b"a"), found.text(b"b"), found.text(b"c"), found.header(b"c")) == ("1", "", "", b"")


def test_a_form_of_too_many_fields_is_no_form() -> None:
    form = [(b"content-type", b"application/x-www-form-urlencoded")]

    assert len(Delivery(form, b"a=1&" * 9999 + b"b").form) == 10_000
    with pytest.raises(BadSignature, match="malformed"):
        _ = Delivery(form, b"a=1&" * 10_000 + b"b").form
    with pytest.raises(BadSignature, match="malformed"):
        _ = Delivery(form, b"a=%ff").form
    assert Delivery(form, b"&a+b=%20&&c").form == [("a b", " "), ("c", "")]
