from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from workers.retry_after import parse_retry_after


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("7", 7, 7),
        ("0", 0, 0),
        ("-3", 0, 0),
        ("999999", 3600, 3600),
        ("nan", 60, 60),
        ("", 60, 60),
        ("soon", 60, 60),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, low: float, high: float) -> None:
    assert low <= parse_retry_after(text) <= high


def test_retry_after_may_be_a_date() -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)

    assert 90 <= parse_retry_after(format_datetime(moment, usegmt=True)) <= 101
