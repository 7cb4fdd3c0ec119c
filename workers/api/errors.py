"""
ApiError            an answer that is no success, or none; left to fly it is an ordinary failure: attempted again
├── Refused         4xx: no later attempt can help (also a GiveUp)
├── NotSent         the request has surely not left this machine
├── TokenRefused    401, or there is no token: again later (also a RetryLater)
├── LimitReached    the API's limit, or ours, is reached: again when there is room (also a RetryLater)
└── Unanswered      an earlier attempt made this call, and no answer says whether it happened (also a GiveUp)
"""

import time
from collections.abc import Mapping
from typing import Any

from ..errors import GiveUp, RetryLater
from ..retry_after import MAX_SECONDS, parse_retry_after

MAX_BODY_CHARACTERS = 300  # of an answer that are told
TOKEN_SECONDS = 30.0  # until a refused token is tried again


class ApiError(Exception):
    """status: 0 where there was no answer. document: the answer's JSON, or None."""

    def __init__(self, call: str, status: int = 0, words: str = "", document: Any = None) -> None:
        self.call = call
        self.status = status
        self.document = document
        Exception.__init__(self, ": ".join(filter(None, [call, str(status or ""), words])))


class Refused(ApiError, GiveUp):
    """The API does not take this call."""


class NotSent(ApiError):
    """The request has surely not left this machine."""


class TokenRefused(ApiError, RetryLater):
    seconds = TOKEN_SECONDS


class LimitReached(ApiError, RetryLater):
    """seconds: until there is room."""

    def __init__(self, call: str, status: int, words: str, document: Any = None, *, seconds: float) -> None:
        ApiError.__init__(self, call, status, words, document)
        self.seconds = seconds


class Unanswered(ApiError, GiveUp):
    """Nobody knows whether the call has happened; a person can look, and say so with `events replay`."""

    cause = "outcome-unknown"


def find_hold_seconds(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds for which nobody is to call, if an answer asks for that.

    A 429; or a 403 or 503 with Retry-After, or with a limit that is used up, as GitHub answers:
    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    is_used_up = headers.get("x-ratelimit-remaining") == "0"
    if status != 429 and not (status in (403, 503) and (is_used_up or "retry-after" in headers)):
        return None
    reset = headers.get("x-ratelimit-reset", "")
    if is_used_up and "retry-after" not in headers and reset.isdecimal():
        return min(max(float(reset) - time.time(), 0.0), MAX_SECONDS)
    return parse_retry_after(headers.get("retry-after", ""))


def make_error(call: str, status: int, headers: Mapping[str, str], document: Any, text: str) -> ApiError:
    message = document.get("message") or document.get("error") if isinstance(document, dict) else ""
    words = str(message or text)[:MAX_BODY_CHARACTERS]
    if (seconds := find_hold_seconds(status, headers)) is not None:
        return LimitReached(call, status, words, document, seconds=seconds)
    if status == 401:
        return TokenRefused(call, status, words, document)
    if 300 <= status < 400:
        return Refused(call, status, f"it has moved to {headers.get('location', '')[:300]}", document)
    if 400 <= status < 500 and status != 408:
        return Refused(call, status, words, document)
    return ApiError(call, status, words, document)
