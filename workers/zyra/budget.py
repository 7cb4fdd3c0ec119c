"""How many calls may be made with a key, shared by all workers that hold it, of whatever queue.

https://getzyra.io/documentation/user-guides/organization/stage-4/01-api-and-cli: 5 creates, 30 reads and 100
high-volume operations a minute. Whose minute that is, is not known: we take it as one for each key and class.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.exceptions import NoScriptError

from receiver.contract.connection import decode_text
from receiver.contract.keys import API_TAG, list_script_keys

from .routes import Limit, Limits

MARGIN_SECONDS = 1.0  # that a call may be longer on its way than another
PREFIX = f"zr::{API_TAG}:"  # no queue is called ""
SCRIPT_KEYS = list_script_keys(f"{PREFIX}:")
REFUSED_KEYS = f"{PREFIX}:refused"  # keys that Zyra refuses, as they may be shown, and since when


@dataclass(frozen=True, slots=True)
class Room:
    """seconds: until to come back; 0 if the call may be made. refused: whether that is since the key is no good.

    limit: calls a minute, as they are now.
    """

    seconds: float = 0.0
    refused: bool = False
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What `zyra-receiver api budget` shows of one class."""

    limit: str
    left: int
    most: int  # calls a minute, as it is now
    believed: int  # the same where no 429 has lowered it
    held: float  # seconds for which Zyra told us to hold back
    who: dict[str, int]  # calls that wait, by handler


@dataclass(frozen=True, slots=True)
class Budget:
    """Raises redis errors. minute: seconds of one; shorter only where time matters in a test."""

    client: redis.Redis
    limits: Limits = Limits()
    minute: float = 60.0
    margin: float | None = None  # seconds that a minute is taken for longer; None for the usual

    @property
    def window(self) -> int:
        return int((self.minute + (MARGIN_SECONDS if self.margin is None else self.margin)) * 1000)

    @property
    def pause(self) -> float:
        """Seconds for which nobody asks again with a key that was refused."""
        return self.minute / 2

    def take(self, key: str, limit: Limit, who: str, ticket: str) -> Room:
        """One call, if there is room. who: the handler; of several that wait each gets a fair share."""
        verdict, *told = self._ask(key, limit, "take", read_handler(who), ticket, int(self.pause * 1000))
        return Room(told[0] / 1000, verdict == 2, told[1]) if verdict else Room()

    def hold(self, key: str, limit: Limit, seconds: float) -> None:
        """Zyra said when to come back: until then no worker calls."""
        self._ask(key, limit, "hold", max(1, int(seconds * 1000)), 0)

    def lower(self, key: str, limit: Limit, seconds: float) -> int:
        """The same after a 429: it has disproved the limit, which is lowered and rises again slowly. The limit then.

        It is lowered once for all calls that were under way; the hold lasts long enough for their answers.
        """
        return int(self._ask(key, limit, "hold", int(max(seconds, MARGIN_SECONDS) * 1000), 1))

    def read_limit(self, key: str, limit: Limit) -> int:
        """Calls a minute, as a 429 may have lowered them."""
        return int(self._ask(key, limit, "read"))

    def _ask(self, key: str, limit: Limit, *asked: str | int) -> Any:
        text, sha = load_script()
        values = [make_prefix(key), limit, self.limits.get(limit), self.window, *asked]
        try:
            return self.client.evalsha(sha, len(SCRIPT_KEYS), *SCRIPT_KEYS, *values)
        except NoScriptError:  # a new Redis: nothing was executed
            self.client.script_load(text)
            return self.client.evalsha(sha, len(SCRIPT_KEYS), *SCRIPT_KEYS, *values)

    def refuse(self, key: str, shown: str = "") -> bool:
        """The key is no good: nobody calls with it for a while. Whether that is news.

        shown: how `zyra-receiver status` may call it.
        """
        self.client.set(make_prefix(key) + "refused", "1", px=int(self.pause * 1000))
        if shown:
            self.client.hsetnx(REFUSED_KEYS, shown, f"{int(time.time() * 1000)} {key}")
        life = max(600, int(20 * self.pause))  # seconds: it ends where nobody tries the key any more
        news = bool(self.client.set(make_prefix(key) + "known", "1", nx=True, ex=life))
        self.client.expire(make_prefix(key) + "known", life)
        return news

    def accept(self, key: str, shown: str = "") -> bool:
        """The key is good. Whether that is news."""
        self.client.hdel(REFUSED_KEYS, shown)
        return bool(self.client.delete(make_prefix(key) + "known", make_prefix(key) + "refused"))

    def is_refused(self, key: str) -> bool:
        return bool(self.client.exists(make_prefix(key) + "known"))

    def list_waiting(self, key: str) -> list[Waiting]:
        """What is left, and who waits, by class."""
        seconds, micro = self.client.time()
        now = seconds * 1000 + micro // 1000
        return [self._read_waiting(key, limit, now) for limit in Limit]

    def _read_waiting(self, key: str, limit: Limit, now: int) -> Waiting:
        name, most = make_prefix(key) + limit, self.read_limit(key, limit)
        used = self.client.zcount(name, now - self.window, "+inf")
        handlers = [decode_text(one) for one in self.client.zrangebyscore(f"{name}:waits", now - self.window, "+inf")]
        counts = {one: self.client.zcount(f"{name}:told:{one}", now - self.window, "+inf") for one in handlers}
        hold = max(0, self.client.pttl(f"{name}:hold")) / 1000
        believed = self.limits.get(limit)
        return Waiting(limit=limit, left=max(0, most - used), most=most, believed=believed, held=hold, who=counts)


def list_refusals(client: redis.Redis) -> dict[str, int]:
    """Keys that Zyra refuses now, as they may be shown, and since when, in milliseconds."""
    refusals = {}
    for shown, reason in client.hgetall(REFUSED_KEYS).items():
        since, _, key = decode_text(reason).partition(" ")
        if client.exists(make_prefix(key) + "known") and since.isdecimal():
            refusals[decode_text(shown)] = int(since)
        else:
            client.hdel(REFUSED_KEYS, shown)
    return refusals


@cache
def load_script() -> tuple[str, str]:
    """The script, and how Redis calls it."""
    text = files("workers.zyra").joinpath("budget.lua").read_text()
    return text, hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' own name for it


def make_prefix(key: str) -> str:
    return f"{PREFIX}{key}:"


def read_handler(who: str) -> str:
    return who.replace(" ", "-")[:100]


def draw_ticket() -> str:
    """Of a call that belongs to no run."""
    return secrets.token_hex(8)


def compute_fingerprint(secret: str) -> str:
    """How a key is called in Redis."""
    return hashlib.sha256(b"zr:api-key:" + secret.encode("utf-8", "surrogatepass")).hexdigest()[:16]
