"""The Retry-After header of other services (RFC 9110, 10.2.3): seconds, or a date."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 3600.0  # that we believe
DEFAULT_SECONDS = 60.0  # where nothing is said, or nothing that makes sense


def parse_retry_after(text: str) -> float:
    """Seconds to wait, 0 to MAX_SECONDS."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return DEFAULT_SECONDS
    return min(max(seconds, 0.0), MAX_SECONDS) if seconds == seconds else DEFAULT_SECONDS
