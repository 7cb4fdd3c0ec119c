"""The public keys of providers that say, in each delivery, with which key they signed it.

A delivery is looked at as far as that goes without the key, before anything is fetched. One fetch is under way and one
begins each second, for each source; what cannot be known now is a 503, and the provider comes again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

from .contract.secrets import Secret
from .delivery import Delivery, place
from .errors import BadSignature, Unavailable
from .fetching import Absent, Failed, Fetcher
from .schemes import Remote, Scheme
from .signatures import Key, named, plain_key, verify

log = logging.getLogger(__name__)
PATIENCE = 0.45  # seconds that a request waits; 2 s are promised, and Redis may need 1.5
APART = 1.0  # seconds between the beginnings of two fetches
FRESH = 3600.0  # seconds for which a key is not asked for again
STALE = 86400.0  # seconds for which it serves while it cannot be fetched
FAILED = 60.0  # seconds for which a failure is believed
MOST = 100  # keys and failures of a source that are remembered


@dataclass(frozen=True, slots=True)
class Known:
    """What came of a fetch: a key, or why there is none. at: the monotonic clock's seconds."""

    key: Key | None
    at: float
    absent: bool = False


class RemoteKeys:
    def __init__(
        self,
        name: str,
        scheme: Scheme,
        remote: Remote,
        fetcher: Fetcher,
        credential: Secret | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._scheme = scheme
        self._remote = remote
        self._fetcher = fetcher
        self._credential = credential
        self._clock = clock
        self._named = named(remote)
        self._keys: dict[str, Known] = {}
        self._failures: dict[str, Known] = {}
        self._visited: dict[str, Known] = {}
        self._under_way: tuple[str, asyncio.Task[None]] | None = None
        self._began = float("-inf")
        self._token = ("", float("-inf"))

    async def keys(self, delivery: Delivery, now: float) -> tuple[Key, ...]:
        """The key that fits. Raises BadSignature, and Unavailable where it cannot be known now."""
        self._look(delivery, now)
        for url in self._addresses(delivery):
            key = await self._key(url, FRESH)
            if not self._fits(delivery, key, now) and not self._named:  # the set may have a newer key by now
                key = await self._key(url, FAILED)
            if self._fits(delivery, key, now):
                return (key,)
        raise BadSignature("wrong")

    async def visit(self, url: str) -> None:
        """Fetches what the provider wants to be fetched. Raises Unavailable where that has not happened yet."""
        if url not in self._visited:
            self._start(url, self._visit(url))
            await self._wait(url)
        if url not in self._visited:
            raise Unavailable("visit")

    def _look(self, delivery: Delivery, now: float) -> None:
        """All that can be said without the key. Raises BadSignature."""
        try:
            verify(self._scheme, delivery, (), now)
        except BadSignature as error:
            if error.cause != "wrong":
                raise

    def _fits(self, delivery: Delivery, key: Key, now: float) -> bool:
        try:
            verify(self._scheme, delivery, (key,), now)
        except BadSignature:
            return False
        return True

    def _addresses(self, delivery: Delivery) -> Iterator[str]:
        if not self._named:
            yield self._remote.url
        for find, pattern in self._named:
            text = find(delivery)
            if pattern.fullmatch(text):
                yield self._remote.url.replace("{named}", text.decode())

    async def _key(self, url: str, age: float) -> Key:
        """The key at an address, not older than age if that can be had. Who has a key that may fit never waits."""
        if self._ripe(url, age):
            self._start(url, self._fetch(url))
        if url not in self._keys or age < FRESH:
            await self._wait(url)
        known, failure = self._keys.get(url), self._failures.get(url)
        if known and self._clock() - known.at < STALE:
            return known.key
        if failure and failure.absent:
            raise BadSignature("no-key")
        raise Unavailable("key")

    def _ripe(self, url: str, age: float) -> bool:
        """Whether a key is to be fetched: not known, or not lately, and not failed a moment ago."""
        now, known, failure = self._clock(), self._keys.get(url), self._failures.get(url)
        return (known is None or now - known.at >= age) and (failure is None or now - failure.at >= FAILED)

    def _start(self, url: str, work: Coroutine[Any, Any, None]) -> None:
        if self._under_way or self._clock() - self._began < APART:
            work.close()
            return
        self._began = self._clock()
        self._under_way = url, asyncio.create_task(work)
        self._under_way[1].add_done_callback(self._over)

    async def _wait(self, url: str) -> None:
        """Waits a little for this address. Where another one is under way there is nothing to wait for."""
        if self._under_way and self._under_way[0] == url:
            await asyncio.wait([self._under_way[1]], timeout=PATIENCE)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._under_way = None

    async def _fetch(self, url: str) -> None:
        try:
            answer = await self._fetcher.get(url, await self._shown())
            self._keys.pop(url, None)
            remember(self._keys, url, Known(self._read(answer), self._clock()))
            self._failures.pop(url, None)
            log.info("source %s: fetched the key %s", self._name, url)
        except Failed as error:
            remember(self._failures, url, Known(None, self._clock(), isinstance(error, Absent)))
            log.warning("source %s: no key: %s", self._name, error)

    async def _visit(self, url: str) -> None:
        try:
            await self._fetcher.get(url)
            remember(self._visited, url, Known(None, self._clock()))
            log.info("source %s: the subscription is confirmed", self._name)
        except Failed as error:
            log.warning("source %s: the subscription is not confirmed yet: %s", self._name, error)

    async def _shown(self) -> dict[str, str]:
        """The credential that the provider wants to see with the request. Raises Failed."""
        if not self._remote.credential or self._credential is None:
            return {}
        secret = self._credential.values[0]
        if self._remote.credential == "bearer":
            return {"authorization": f"Bearer {secret}"}
        if self._clock() >= self._token[1]:
            token, seconds = await self._fetcher.token(self._remote.credential, secret, self._remote.scope)
            self._token = token, self._clock() + seconds * 0.9
        return {"authorization": f"Bearer {self._token[0]}"}

    def _read(self, answer: bytes) -> Key:
        """Raises Failed."""
        try:
            text = place(self._remote.read)(Delivery((), answer)) if self._remote.read else answer
            return plain_key(self._scheme, text.decode())
        except (BadSignature, ValueError):
            raise Failed("what was fetched is no key of this scheme") from None


def remember(known: dict[str, Known], url: str, what: Known) -> None:
    """Forgets the oldest where there are too many: who names keys must not fill our memory."""
    known[url] = what
    while len(known) > MOST:
        del known[next(iter(known))]
