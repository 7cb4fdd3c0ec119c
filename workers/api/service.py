"""What is known of an API."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypedDict
from urllib.parse import unquote, urlsplit

from receiver.contract.errors import ConfigurationError

from ..option_checks import RATE, is_word
from ..settings import parse_api_url, read_header_secret
from ..zyra.budget import compute_fingerprint
from ..zyra.calls import Call
from ..zyra.routes import Certainty, Limit, Limits, Route
from .errors import TokenRefused

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PATH = re.compile(r"/(?!/)[^\x00-\x20\x7f?#\\]*")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?")
HEADER = re.compile(r"[A-Za-z0-9-]+")
VISIBLE = re.compile(r"[ -~]*")
UNLIMITED = (1_000_000, 60.0)  # calls, seconds
IDEMPOTENT = ("PUT", "DELETE")  # RFC 9110, 9.2.2, of those that change something


class Options(TypedDict, total=False):
    """Of `client`; it says what each means."""

    token: str
    header: str
    prefix: str
    headers: Mapping[str, str]
    rate: str
    idempotency_header: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """token: the variable that holds it, or "". rate: so many calls in so many seconds, over all workers.

    idempotency_header: carries a key by which the API knows a repeated call, or "".
    """

    name: str
    url: str
    token: str = ""
    header: str = "authorization"
    prefix: str = "Bearer "
    headers: Mapping[str, str] = field(default_factory=dict)
    rate: tuple[int, float] = UNLIMITED
    idempotency_header: str = ""

    @property
    def limits(self) -> Limits:
        count = self.rate[0]
        return Limits(create=count, read=count, bulk=count)

    def read_token(self, call: Call) -> str:
        """Its newest value. Raises TokenRefused where there is none."""
        try:
            secret = read_header_secret(os.environ, self.token)
        except ConfigurationError as error:
            raise TokenRefused(str(call), 0, str(error)) from None
        if secret is None:
            raise TokenRefused(str(call), 0, f"{self.token} is not set: it holds the token of {self.name}")
        return secret.values[0]

    def name_budget(self, token: str) -> str:
        """Of the calls that are counted together."""
        return f"{self.name}-{compute_fingerprint(token)}"

    def make_call(
        self, method: str, path: str, params: Mapping[str, object] | None = None, json: object = None
    ) -> Call:
        """A parameter that is None is left out. Raises ValueError: the token must not go to another host or path."""
        if method not in METHODS:
            raise ValueError(f"{method!r} is no method of an API: {', '.join(METHODS)}")
        if not PATH.fullmatch(path) or any(unquote(step) in (".", "..") for step in path.split("/")):
            raise ValueError(
                f"{path!r} must be a path below {self.url}, such as /repos/acme/site; pass what follows ? as params="
            )
        route = Route(
            call=f"{method} {self.url}", limit=Limit.READ, certainty=Certainty.DOCUMENTED, source="", name=self.name
        )
        query = {name: value for name, value in (params or {}).items() if value is not None}
        return Call(route=route, path=f"{self.url}{path}", params=query, body=json)

    def can_repeat(self, call: Call) -> bool:
        """Whether the API takes a repeated call for the same one."""
        return self.idempotency_header != "" or call.route.method in IDEMPOTENT


def find_faults(name: object, url: object, options: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with the arguments of `client`."""
    if not is_word(name):
        yield f"the name must be a text of 1 to 250 characters, not {name!r}"
    if not is_url(url):
        yield "the URL must be like https://api.example.com/v1, without user, query or fragment"
    for option, value in options.items():
        if option not in CHECKS:
            yield f"there is no option {option}=: there are {', '.join(CHECKS)}"
        elif not CHECKS[option][0](value):
            shown = "" if option in SECRET_OPTIONS else f", not {value!r}"
            yield f"{option}= must be {CHECKS[option][1]}{shown}"


def is_url(url: object) -> bool:
    try:
        parts = urlsplit(parse_api_url(url if isinstance(url, str) else ""))
        is_plain = not (parts.query or parts.fragment) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    is_host, is_path = is_match(HOST, parts.netloc), parts.path == "" or is_match(PATH, parts.path)
    return is_plain and is_host and is_path


def is_match(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def are_headers(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        is_match(HEADER, name) and is_match(VISIBLE, text) for name, text in value.items()
    )


SECRET_OPTIONS = ("token", "headers")  # whose values no message shows: somebody may have put a token there
CHECKS: Mapping[str, tuple[Callable[[object], bool], str]] = {  # of each option, and what it must be
    "token": (partial(is_match, VARIABLE), "the name of an environment variable, such as GITHUB_TOKEN"),
    "header": (partial(is_match, HEADER), "the name of a header"),
    "prefix": (partial(is_match, VISIBLE), "a text of printable ASCII"),
    "headers": (are_headers, "names and values of headers"),
    "rate": (partial(is_match, RATE), 'like "5000/h" or "10/s" (s, min, h, d)'),
    "idempotency_header": (partial(is_match, HEADER), "the name of a header"),
}
