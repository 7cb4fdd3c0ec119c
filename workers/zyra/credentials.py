"""Whose key goes with a call: an API key, or a JWT from a login, which all workers share and renew before its end.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli
"""

import base64
import contextlib
import hashlib
import json
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec
import redis

from receiver.contract.connection import FAULTS
from receiver.contract.errors import SealError
from receiver.contract.seal import Seal

from ..errors import RetryLater
from . import calls
from .budget import PREFIX, compute_fingerprint
from .effects import Do, Send, Step, Wait
from .errors import Unauthorized, Unreadable, WrongPassword
from .routes import Route, Routes

log = logging.getLogger(__name__)
SHOWN_CHARACTERS = 18  # of an API key that Zyra itself shows
RENEW_EARLY_SECONDS = 60.0  # before its end that a token is renewed, or
RENEW_EARLY_SHARE = 0.2  # of its life, if that is less
TOKEN_SECONDS = 900.0  # that a token lives, where nobody says
LOCK_SECONDS = 60.0  # that one worker has for a login, whose requests may take 20
MAX_LOOKS = 50  # for the token that another worker gets


@dataclass(frozen=True, slots=True)
class ApiKey:
    """read: called for each call, so that a changed key file counts at once."""

    read: Callable[[], str]
    noun: ClassVar[str] = "the API key"
    refusal: ClassVar[type[Unauthorized]] = Unauthorized

    @property
    def name(self) -> str:
        return compute_fingerprint(self.read())

    @property
    def shown(self) -> str:
        return self.read()[:SHOWN_CHARACTERS]

    def token(self) -> Generator[Step, Any, str]:
        yield from ()
        return self.read()

    def freeze(self) -> "ApiKey":
        """The key as it is now, whatever becomes of its file."""
        key = self.read()
        return ApiKey(lambda: key)

    def forget(self, token: str) -> bool:
        """Whether another token may be had where this one was refused."""
        return False


class Token(msgspec.Struct, frozen=True):
    """until: seconds since 1970."""

    access: str
    refresh: str = ""
    since: float = 0.0
    until: float = 0.0

    def is_fresh(self, now: float) -> bool:
        return now < self.until - min(RENEW_EARLY_SECONDS, (self.until - self.since) * RENEW_EARLY_SHARE)


class Login:
    """The token stands sealed in Redis. One worker gets a new one, the others wait for it, or use the old one."""

    noun: ClassVar[str] = "the login of"
    refusal: ClassVar[type[Unauthorized]] = WrongPassword

    def __init__(self, user: str, password: Callable[[], str], client: redis.Redis, seal: Seal, routes: Routes) -> None:
        self._user = user
        self._password = password
        self._client = client
        self._seal = seal
        self._routes = routes
        self.shown = user

    @property
    def name(self) -> str:
        """A digest of user and password: a corrected password must not inherit the refusal of the wrong one."""
        return "u" + hashlib.sha256(f"{self._user}\0{self._password()}".encode()).hexdigest()[:15]

    def token(self) -> Generator[Step, Any, str]:
        """Raises ZyraError, and RetryLater where another worker takes too long for it."""
        for _ in range(MAX_LOOKS):
            known: Token | None = yield Do(self._read)
            now = time.time()
            if known and known.is_fresh(now):
                return known.access
            if (yield Do(self._lock)):
                try:
                    known = yield Do(self._read)  # another worker may have got one in this moment
                    if known and known.is_fresh(time.time()):
                        return known.access
                    token = yield from self._new(known)
                    yield Do(lambda: self._keep(token))  # noqa: B023 - called at once
                finally:
                    self._unlock()  # and no step: we may be ended in this moment
                return token.access
            if known and now < known.until:
                return known.access
            yield Wait(0.2)
        raise RetryLater(5, "another worker logs in at Zyra, and has not ended")

    def freeze(self) -> "Login":
        return self

    def forget(self, token: str) -> bool:
        """Whether another token may be had: this one is deleted, if no other worker has replaced it already."""
        known = self._read()
        if known and known.access == token:
            return bool(self._client.delete(self._key))
        return known is None or known.access != token

    def _new(self, known: Token | None) -> Generator[Step, Any, Token]:
        if known and known.refresh:
            answer = yield from self._ask("auth.refresh", {"refresh_token": known.refresh})
            if answer.is_success:
                return read_token(self._routes["auth.refresh"], answer, known.refresh)
        answer = yield from self._ask("auth.login", {"email": self._user, "password": self._password()})
        if answer.status in (400, 401, 403):
            raise WrongPassword(answer.status, "", "the login is refused", request_id=answer.request_id, call="login")
        return read_token(self._routes["auth.login"], answer)

    def _ask(self, name: str, body: dict[str, str]) -> Generator[Step, Any, calls.Answer]:
        answer: calls.Answer = yield Send(calls.make_listed_call(self._routes[name], body=body), {})
        return answer

    @property
    def _key(self) -> str:
        return f"{PREFIX}{self.name}:token"

    def _read(self) -> Token | None:
        sealed = self._client.get(self._key)
        if not isinstance(sealed, bytes):
            return None
        try:
            return msgspec.json.decode(self._seal.unwrap(self._key, sealed), type=Token)
        except (SealError, msgspec.MsgspecError):
            return None  # of another SEAL_KEY: a login mends that

    def _keep(self, token: Token) -> None:
        sealed = self._seal.wrap(self._key, msgspec.json.encode(token))
        self._client.set(self._key, sealed, ex=max(1, int(token.until - time.time()) + 86400))

    def _lock(self) -> bool:
        return bool(self._client.set(self._key + ":lock", "1", nx=True, px=int(LOCK_SECONDS * 1000)))

    def _unlock(self) -> None:
        with contextlib.suppress(*FAULTS):  # then it ends by itself
            self._client.delete(self._key + ":lock")


def read_token(route: Route, answer: calls.Answer, refresh: str = "") -> Token:
    """The token of a login's answer; its fields are not documented, so all the likely ones are looked at."""
    document = calls.to_mapping(calls.read_data(calls.make_listed_call(route), answer))
    names = ("access_token", "token", "jwt")
    access = next((str(document[name]) for name in names if isinstance(document.get(name), str)), "")
    if not access:
        raise Unreadable(answer.status, "unreadable", "the login's answer holds no token", call=route.call)
    now = time.time()
    lifetime = document.get("expires_in")
    life = float(lifetime) if isinstance(lifetime, int | float) and lifetime > 0 else read_end(access, now) - now
    return Token(access, str(document.get("refresh_token") or refresh), now, now + max(0.1, life))


def read_end(jwt: str, now: float) -> float:
    """When a JWT ends, as it says itself. It is Zyra's to verify, not ours."""
    try:
        payload = jwt.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (ValueError, IndexError, KeyError, TypeError, RecursionError):
        return now + TOKEN_SECONDS


Ring = ApiKey | Login
