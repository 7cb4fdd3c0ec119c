"""RFC 8785: JSON as ECMAScript writes it."""

from typing import Any

import pytest

from receiver.signatures.builders import write_canonical_json, write_ecmascript_number


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (1e-5, "0.00001"), (1e-6, "0.000001"), (1e-7, "1e-7"),
        (12.5e-8, "1.25e-7"), (1e16, "10000000000000000"), (1e20, "100000000000000000000"), (1e21, "1e+21"),
        (1.5e300, "1.5e+300"), (5e-324, "5e-324"), (9007199254740993.0, "9007199254740992"), (100.0, "100"),
        (333333333.33333329, "333333333.3333333"), (4.50, "4.5"), (2e-3, "0.002"), (123456.789, "123456.789"),
    ],
)  # fmt: skip
def test_a_number(number: float, text: str) -> None:
    assert write_ecmascript_number(number) == text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json(number: float) -> None:
    with pytest.raises(ValueError, match="no number"):
        write_ecmascript_number(number)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1.0, "a": [None, True, False, ""]}, '{"a":[null,true,false,""],"b":1}'),
        ({"\U0001f600": 1.0, "\ufb33": 2.0}, '{"\U0001f600":1,"\ufb33":2}'),  # by UTF-16: a surrogate comes first
        ('é\n\x0f"\\/\u2028', '"é\\n\\u000f\\"\\\\/\u2028"'),
        ({}, "{}"),
    ],
)
def test_a_document(value: Any, text: str) -> None:
    assert write_canonical_json(value) == text
