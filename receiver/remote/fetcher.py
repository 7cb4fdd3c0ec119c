"""Fetches small public documents by https, with limits for time, size and addresses, since others name the URL.

No redirect, no proxy, no private address; the connection goes to the address that was checked.
"""

import asyncio
import base64
import json
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from ..contract.addresses import Target, is_public, parse_target

if TYPE_CHECKING:
    import httpx2  # a large library: loaded with the first fetch, which most receivers never make

FETCH_SECONDS = 5.0  # for one fetch
MAX_ANSWER_BYTES = 256 * 1024  # of an answer
VISIBLE = re.compile("[!-~]+")
NOT_FOUND_STATUSES = (400, 403, 410)  # of who shows no credential: with one, they speak of that
Resolve = Callable[[str, int], Awaitable[list[tuple[str, int]]]]  # of host and port; addresses and ports


class FetchFailed(Exception):
    """The fetch failed; a later one may succeed."""


class FetchNotFound(FetchFailed):
    """The server says that there is no such document."""


async def resolve(host: str, port: int) -> list[tuple[str, int]]:
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for *_, address in infos]


class Fetcher:
    def __init__(
        self,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = is_public,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._context = context
        self._trust: ssl.SSLContext | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The document. Raises FetchFailed or FetchNotFound."""
        return await self._fetch("GET", url, dict(headers or {}), b"")

    async def token(self, url: str, credential: str, scope: str) -> tuple[str, float]:
        """An OAuth 2 token for a client's id and secret (RFC 6749, 4.4), and for how many seconds it is good."""
        form = urlencode({"grant_type": "client_credentials", "scope": scope}).encode()
        headers = {
            "authorization": f"Basic {base64.b64encode(credential.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }
        try:
            document = json.loads(await self._fetch("POST", url, headers, form))
            token, seconds = document["access_token"], float(document.get("expires_in", 300))
        except FetchNotFound as error:
            raise FetchFailed(f"no token: {error}") from None  # that says nothing of the key
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
            raise FetchFailed("the answer held no token") from None
        if not isinstance(token, str) or not VISIBLE.fullmatch(token) or not 0 < seconds < float("inf"):
            raise FetchFailed("the answer held no token")
        return token, min(seconds, 86400.0)

    async def _fetch(self, method: str, url: str, headers: dict[str, str], content: bytes) -> bytes:
        import httpx2

        try:
            async with asyncio.timeout(FETCH_SECONDS):
                return await self._ask(method, url, headers, content)
        except TimeoutError:
            raise FetchFailed(f"no answer in {FETCH_SECONDS:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            detail = f": {error}" if isinstance(error, httpx2.ConnectError) else ""  # other words may hold a credential
            raise FetchFailed(f"{type(error).__name__}{detail}") from None

    async def _ask(self, method: str, url: str, headers: dict[str, str], content: bytes) -> bytes:
        """The certificate must be the host's, though the request goes to its address."""
        import httpx2

        target = parse_target(url)
        if target.scheme != "https":
            raise FetchFailed("that is not https")
        address, port = await self._find_address(target)
        if self._trust is None:
            self._trust = await asyncio.to_thread(self._context)  # reading all roots takes a while
        async with (
            httpx2.AsyncClient(verify=self._trust, trust_env=False, timeout=FETCH_SECONDS) as client,
            client.stream(
                method,
                replace(target, port=port).at(address),
                content=content,
                headers={"host": target.netloc, "accept-encoding": "identity", **headers},
                extensions={"sni_hostname": target.host},
            ) as response,
        ):
            if response.status_code == 404 or (
                response.status_code in NOT_FOUND_STATUSES and "authorization" not in headers
            ):
                raise FetchNotFound(f"the answer was {response.status_code}")
            if response.status_code != 200:
                raise FetchFailed(f"the answer was {response.status_code}")
            return await read_bounded(response)

    async def _find_address(self, target: Target) -> tuple[str, int]:
        addresses = await self._resolve(target.host, target.port)
        if not addresses or not all(self._allowed(address) for address, _ in addresses):
            raise FetchFailed(f"{target.host} has no address, or one that is not public")
        return addresses[0]


async def read_bounded(response: "httpx2.Response") -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise FetchFailed(f"the answer was longer than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def strip_query(url: str) -> str:
    """The URL for a log, without its query, which may hold tokens."""
    return url.partition("?")[0]
