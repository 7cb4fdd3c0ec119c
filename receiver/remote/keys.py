"""The public keys of providers that say, in each delivery, with which key they signed it.

A delivery is looked at as far as that goes without the key, before anything is fetched. One fetch is under way and one
begins each second, for each source; what cannot be known now is a 503, and the provider comes again. Keys that have
verified a delivery are renewed in a turn of their own, and are the last to be forgotten, so that nobody who makes up
names of keys can push them out.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..contract.secrets import Secret
from ..delivery import Delivery, compile_place
from ..errors import BadSignature, Unavailable
from ..schemes import Remote, Scheme
from ..signatures.keys import is_current, is_usable
from ..signatures.verify import Key, Proof, compile_key_names, decode_plain_key, prove, verify
from .fetcher import Fetcher, FetchFailed, FetchNotFound, strip_query

log = logging.getLogger(__name__)
MAX_WAIT_SECONDS = 0.45  # that a request waits; 2 s are promised, and Redis may need 1.5
MIN_INTERVAL_SECONDS = 1.0  # between the beginnings of two fetches
FRESH_SECONDS = 3600.0  # for which a key is not asked for again
STALE_SECONDS = 86400.0  # for which it serves while it cannot be fetched
FAILURE_SECONDS = 60.0  # for which a failure is believed
MAX_REMEMBERED = 100  # keys and failures of a source that are remembered


@dataclass(slots=True)
class FetchedKey:
    """The result of a fetch: a key, or why there is none. at: monotonic seconds.

    proven: whether it has verified a delivery.
    """

    key: Key | None
    at: float
    absent: bool = False
    proven: bool = False


@dataclass(slots=True)
class FetchTurn:
    """One fetch under way, and when the last one began."""

    task: "asyncio.Task[None] | None" = None
    url: str = ""
    began: float = float("-inf")

    def over(self, task: "asyncio.Task[None]") -> None:
        self.task = None


@dataclass(slots=True)
class WaitBudget:
    """How long a request may still wait, in all."""

    until: float = field(default_factory=lambda: time.monotonic() + MAX_WAIT_SECONDS)

    @property
    def left(self) -> float:
        return max(0.0, self.until - time.monotonic())


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
        self._named = compile_key_names(remote)
        self._keys: dict[str, FetchedKey] = {}
        self._failures: dict[str, FetchedKey] = {}
        self._visited: dict[str, FetchedKey] = {}
        self._first, self._renewal, self._visits = FetchTurn(), FetchTurn(), FetchTurn()
        self._token = ("", float("-inf"))

    async def prove(self, delivery: Delivery, now: float) -> Proof:
        """Verifies with the key that fits. Raises BadSignature, and Unavailable where it cannot be known now."""
        urls, patience, tried = list(self._list_urls(delivery)), WaitBudget(), False
        for url in urls:
            known = self._keys.get(url)
            if known and self._clock() - known.at < STALE_SECONDS:
                tried = True
                if proof := self._try(delivery, known, now):
                    if self._is_due(url, FRESH_SECONDS):
                        self._start(self._renewal, url, self._fetch(url))
                    return proof
        if not tried:
            self._check_without_key(delivery, now)
        failure: BadSignature | Unavailable = BadSignature("wrong")
        for url in urls:
            try:
                known = await self._fetch_newer(url, patience)
            except (BadSignature, Unavailable) as error:
                failure = error if not isinstance(failure, Unavailable) else failure
            else:
                if proof := self._try(delivery, known, now):
                    return proof
        raise failure

    async def visit(self, url: str) -> None:
        """Fetches the address that confirms a subscription. Raises Unavailable while that is not done."""
        if url not in self._visited and self._is_due(url, 0.0):
            self._start(self._visits, url, self._visit(url))
            await self._wait(self._visits, url, WaitBudget())
        if url not in self._visited:
            raise Unavailable("visit")

    def _check_without_key(self, delivery: Delivery, now: float) -> None:
        """Checks everything that needs no key. Raises BadSignature."""
        try:
            verify(self._scheme, delivery, (), now)
        except BadSignature as error:
            if error.cause != "wrong":
                raise

    def _try(self, delivery: Delivery, known: FetchedKey, now: float) -> Proof | None:
        """The proof, if the key fits. Raises BadSignature where no key could."""
        try:
            proof = prove(self._scheme, delivery, (known.key,), now)
        except BadSignature as error:
            if error.cause != "wrong":
                raise
            return None
        known.proven = True
        return proof

    def _list_urls(self, delivery: Delivery) -> Iterator[str]:
        if not self._named:
            yield self._remote.url
        for find, pattern in self._named:
            text = find(delivery)
            if pattern.fullmatch(text):
                yield self._remote.url.replace("{named}", text.decode())

    async def _fetch_newer(self, url: str, patience: WaitBudget) -> FetchedKey:
        """The key at an address, where we have none that fits: of a set, as it is now.

        Raises BadSignature where the provider knows no such key, Unavailable where that cannot be known now.
        """
        known = self._keys.get(url)
        age = STALE_SECONDS if self._named else FAILURE_SECONDS
        if known and self._clock() - known.at < age:
            return known
        if self._is_due(url, age):
            turn = self._renewal if known and known.proven else self._first
            self._start(turn, url, self._fetch(url))
            await self._wait(turn, url, patience)
        fetched, failure = self._keys.get(url), self._failures.get(url)
        if fetched and self._clock() - fetched.at < age:
            return fetched
        if failure and failure.absent and known is None:
            raise BadSignature("no-key")
        raise Unavailable("key")

    def _is_due(self, url: str, age: float) -> bool:
        """Whether an address is to be fetched: not known, or not lately, and not failed a moment ago."""
        now, known, failure = self._clock(), self._keys.get(url), self._failures.get(url)
        return (known is None or now - known.at >= age) and (failure is None or now - failure.at >= FAILURE_SECONDS)

    def _start(self, turn: FetchTurn, url: str, work: Coroutine[Any, Any, None]) -> None:
        if turn.task or self._clock() - turn.began < MIN_INTERVAL_SECONDS:
            work.close()
            return
        turn.began, turn.url = self._clock(), url
        turn.task = asyncio.create_task(work)
        turn.task.add_done_callback(turn.over)

    async def _wait(self, turn: FetchTurn, url: str, patience: WaitBudget) -> None:
        """Waits a little for this address. Where another one is under way there is nothing to wait for."""
        if turn.task and turn.url == url:
            await asyncio.wait([turn.task], timeout=patience.left)

    async def _fetch(self, url: str) -> None:
        try:
            answer = await self._fetcher.get(url, await self._make_credential_headers())
            before = self._keys.pop(url, None)
            known = FetchedKey(self._read(answer), self._clock(), proven=before is not None and before.proven)
            remember(self._keys, url, known)
            self._failures.pop(url, None)
            log.info("source %s: fetched the key %s", self._name, strip_query(url))
        except Exception as error:  # hostile documents fail in many ways
            remember(self._failures, url, FetchedKey(None, self._clock(), isinstance(error, FetchNotFound)))
            self._log_failure("no key", url, error)

    async def _visit(self, url: str) -> None:
        try:
            await self._fetcher.get(url)
            remember(self._visited, url, FetchedKey(None, self._clock()))
            log.info("source %s: the subscription is confirmed", self._name)
        except Exception as error:
            remember(self._failures, url, FetchedKey(None, self._clock()))
            self._log_failure("the subscription is not confirmed yet", url, error)

    def _log_failure(self, what: str, url: str, error: Exception) -> None:
        """Logs our own messages whole, and of other errors only the type, because they may contain secrets."""
        why = str(error) if isinstance(error, FetchFailed) else type(error).__name__
        log.warning("source %s: %s: %s: %s", self._name, what, strip_query(url), why)

    async def _make_credential_headers(self) -> dict[str, str]:
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
        """The public key. A fetched document never becomes a secret key. Raises FetchFailed."""
        try:
            text = (compile_place(self._remote.read)(Delivery((), answer)) if self._remote.read else answer).decode()
            key = decode_plain_key(self._scheme, text)
            good = is_usable(self._scheme.algorithm if not self._scheme.algorithms else "", key) and is_current(text)
        except (BadSignature, ValueError):
            good = False
        if not good:
            raise FetchFailed("what was fetched is no key of this scheme, or not one of today")
        return key


def remember(known: dict[str, FetchedKey], url: str, what: FetchedKey) -> None:
    """Stores a result and forgets the oldest above MAX_REMEMBERED, because senders choose the names."""
    known[url] = what
    while len(known) > MAX_REMEMBERED:
        del known[next((one for one, held in known.items() if not held.proven), next(iter(known)))]
