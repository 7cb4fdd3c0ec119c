"""
ZyraError                 an answer that is no success; left to fly it is an ordinary failure: tried again
├── Unauthorized          401: the prefix or the key is wrong; a person can mend that
├── Forbidden             403: the key's user lacks the role; likewise
├── NotFound              404: no later attempt can help (also a GiveUp)
├── Conflict              409: likewise
├── Invalid               422: likewise
├── RateLimited           429: again when Retry-After says so (also a RetryLater)
├── ServerError           5xx
└── Unreachable           no answer, or none that could be read

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

from typing import Any

from ..errors import GiveUp, RetryLater


class ZyraError(Exception):
    """code, message, details and request_id are the API's own words; status is 0 where there was no answer."""

    def __init__(
        self, status: int, code: str = "", message: str = "", details: Any = None, request_id: str = "", call: str = ""
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.call = call
        said = " ".join(filter(None, [call, str(status or ""), code, message, request_id]))
        Exception.__init__(self, said)  # not super(): beside us may stand a RetryLater, which wants seconds


class Unauthorized(ZyraError):
    pass


class Forbidden(ZyraError):
    pass


class NotFound(ZyraError, GiveUp):
    pass


class Conflict(ZyraError, GiveUp):
    pass


class Invalid(ZyraError, GiveUp):
    pass


class RateLimited(ZyraError, RetryLater):
    seconds: float = 60.0


class ServerError(ZyraError):
    pass


class Unreachable(ZyraError):
    pass


KINDS = {401: Unauthorized, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid, 429: RateLimited}


def kind(status: int) -> type[ZyraError]:
    return KINDS.get(status, ServerError if status >= 500 else ZyraError)
