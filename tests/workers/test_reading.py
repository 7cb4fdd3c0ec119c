from typing import Any

import pytest

from receiver.contract.records import Body
from workers.errors import Unreadable
from workers.reading import read


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
        (b"123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_what_is_read(body: bytes, value: Any) -> None:
    assert value is None or read(body, Body.JSON) == value


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"{} {}", "not-json"),
        (b"\xef\xbb\xbf{}", "not-json"),  # a byte order mark
        ("{}".encode("utf-16"), "not-utf-8"),
        ('"é"'.encode("latin-1"), "not-utf-8"),
        (b"NaN", "constant"),
        (b'{"a": -Infinity}', "constant"),
        (b"[1e999]", "constant"),
        (b'{"id": 1, "id": 2}', "duplicate-key"),
        (b'{"a": {"b": 1, "b": 1}}', "duplicate-key"),
        (b"[" * 101 + b"]" * 101, "too-deep"),
        (b"[" * 100_000, "too-deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too-deep"),
        (b"1" * 4301, "long-number"),
    ],
)
def test_what_is_not(body: bytes, cause: str) -> None:
    with pytest.raises(Unreadable) as caught:
        read(body, Body.JSON)

    assert caught.value.cause == cause


def test_forms_and_raw_bodies() -> None:
    assert read(b"a=1&a=2&b=", Body.FORM) == {"a": ["1", "2"], "b": [""]}
    assert read(b"\xff", Body.RAW) is None
    with pytest.raises(Unreadable, match="not-form"):
        read(b"no form", Body.FORM)
