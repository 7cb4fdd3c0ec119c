"""
Rejected: a delivery that is not accepted; knows the status it deserves
├── NotFound          404
├── WrongMethod       405
├── TooSlow           408, and the connection is closed
├── TooLarge          413, likewise
├── WrongEncoding     415
├── BadSignature      401, one body for every cause
└── Unavailable       503 with Retry-After: our own trouble, or a doubt; the provider tries again
"""

import random

RETRY_AFTER_SECONDS = (5, 15)  # drawn anew for every 503, so that senders do not come back together


def draw_retry_after() -> bytes:
    """The value of Retry-After."""
    return b"%d" % random.randint(*RETRY_AFTER_SECONDS)  # noqa: S311 - no secret


class Rejected(Exception):
    """cause: one word, for metrics and the log. error: what the sender may read."""

    status = 400
    error = "bad request"
    closes = False

    def __init__(self, cause: str) -> None:
        self.cause = cause
        super().__init__(cause)


class NotFound(Rejected):
    status = 404
    error = "no such source"


class WrongMethod(Rejected):
    status = 405
    error = "use POST"


class TooSlow(Rejected):
    status = 408
    error = "the request did not complete in time"
    closes = True


class TooLarge(Rejected):
    status = 413
    error = "the body is too large"
    closes = True


class WrongEncoding(Rejected):
    status = 415
    error = "send the body without a content encoding"
    closes = True


class BadSignature(Rejected):
    status = 401
    error = "signature required"


class Unavailable(Rejected):
    status = 503
    error = "try again later"
