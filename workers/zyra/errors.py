"""
ZyraError                 an answer that is no success; left to fly it is an ordinary failure: tried again
├── Unauthorized          401: nobody's call with this key is let through for a while (also a RetryLater)
│   └── WrongPassword     likewise, of a login
├── Redirected            3xx: the call has another address by now
├── WrongVerb             405: the path is right, and the verb is another one
├── Forbidden             403: the key's user lacks the role; a person can mend that
├── NotFound              404: no later attempt can help (also a GiveUp)
├── Conflict              409: likewise
├── Invalid               422: likewise
├── RateLimited           429, or our own budget is spent: again when there is room (also a RetryLater)
├── ServerError           5xx
├── Unreachable           no answer
├── Unreadable            an answer that is not what the API promises: HTML, cut off, too large, another envelope
└── OutcomeUnknown        an earlier attempt made this call, and nobody can know whether it happened (also a GiveUp)

NoId                      what was to be called has no id (a GiveUp, and a ValueError)

Each ZyraError says in `advice` what a person can do.
https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

from typing import Any

from ..errors import GiveUp, RetryLater

MAX_DETAILS = 10  # of an error that are told
MAX_DETAIL_CHARACTERS = 400  # of all of them


class ZyraError(Exception):
    """code, message, details and request_id are the API's own words; status is 0 where there was no answer."""

    advice = "look at the API's own words, and give Zyra's support the request id"

    def __init__(
        self, status: int, code: str = "", message: str = "", details: Any = None, request_id: str = "", call: str = ""
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.request_id = request_id
        self.call = call
        words = [call, str(status or ""), code, message, describe_details(details), request_id]
        Exception.__init__(self, " ".join(filter(None, words)))  # not super(): a RetryLater beside us wants seconds


def describe_details(details: Any) -> str:
    """What an answer says besides its message, in one line: of FastAPI's list each field and what is wrong with it."""
    if isinstance(details, list):
        return "; ".join(filter(None, map(describe_details, details[:MAX_DETAILS])))[:MAX_DETAIL_CHARACTERS]
    if isinstance(details, dict):
        place = ".".join(str(step) for step in details.get("loc") or () if step != "body")
        text = details.get("msg") or details.get("message")
        if text:
            return f"{place or details.get('field') or ''}: {text}".removeprefix(": ")[:MAX_DETAIL_CHARACTERS]
        pairs = (f"{name}: {describe_details(value)}" for name, value in list(details.items())[:MAX_DETAILS])
        return "; ".join(pairs)[:MAX_DETAIL_CHARACTERS]
    return str(details)[:MAX_DETAIL_CHARACTERS] if details not in (None, "") else ""


class NoId(ValueError, GiveUp):
    """What was to be called has no id, or one that is none."""


class Unauthorized(ZyraError, RetryLater):
    """The Bearer prefix is missing, or the key was revoked."""

    advice = "the API key is revoked or wrong: make a new one at Zyra under Settings, API Keys, and replace it; \
its runs wait for it"
    seconds = 30.0


class WrongPassword(Unauthorized):
    """The login was refused."""

    advice = "ZYRA_API_USER or ZYRA_API_PASSWORD is wrong: correct it; its runs wait for it"


class Redirected(ZyraError):
    """location: the address that the API names. It is not followed, because the key must not go elsewhere."""

    location = ""
    advice = "this call has another address: name it in ZYRA_API_ROUTES, or in ZYRA_API_URL if the host differs"


class WrongVerb(ZyraError):
    advice = "the path is right, but takes another verb: name it in ZYRA_API_ROUTES; `zyra-receiver api check` compares"


class Forbidden(ZyraError):
    advice = "the key is good, but its user lacks the role: approving devices, invoices, SLA, audit log and webhooks \
need an org_admin"


class NotFound(ZyraError, GiveUp):
    advice = "it does not exist any more, or this path is not the right one: `zyra-receiver api check` compares ours \
with a specification"


class Conflict(ZyraError, GiveUp):
    advice = "it is in a state that does not allow this: read it first"


class Invalid(ZyraError, GiveUp):
    advice = "the API does not take these fields: its details say which"


class RateLimited(ZyraError, RetryLater):
    advice = "the limit of this class is reached: `zyra-receiver api budget` shows who uses it"
    seconds = 60.0


class ServerError(ZyraError):
    advice = "Zyra has trouble of its own: the call is tried again"


class Unreachable(ZyraError):
    """unsent: whether the request has surely not left this machine."""

    unsent = False
    advice = "is ZYRA_API_URL right, and may this machine reach it?"


class Unreadable(ZyraError):
    advice = "this is not the API's answer: is there a proxy or a login page in between, or is ZYRA_API_URL wrong?"


class OutcomeUnknown(ZyraError, GiveUp):
    cause = "outcome-unknown"
    advice = "look at Zyra whether it happened, then say so: \
`events replay ID --keep-calls --unanswered happened`, or repeat"


KINDS = {
    405: WrongVerb,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: Invalid,
    429: RateLimited,
}


def choose_class(status: int) -> type[ZyraError]:
    if 300 <= status < 400:
        return Redirected
    return KINDS.get(status, ServerError if status >= 500 else ZyraError)
