"""Fetches small public documents by https. What is fetched is named by others, so every step is bounded.

No redirect, no proxy, no private address; the connection goes to the address that was checked.
"""

import asyncio
import base64
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from .contract.addresses import public

if TYPE_CHECKING:
    import httpx2  # a large library: loaded with the first fetch, which most receivers never make

LIMIT = 5.0  # seconds for one fetch
LARGEST = 256 * 1024  # bytes of an answer
ABSENT = (400, 403, 410)  # of who shows no credential: with one, they speak of that
Resolve = Callable[[str, int], Awaitable[list[tuple[str, int]]]]  # of host and port; addresses and ports


class Failed(Exception):
    """It was not fetched; another time it may be."""


class Absent(Failed):
    """Who was asked says that there is no such thing."""


async def resolve(host: str, port: int) -> list[tuple[str, int]]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(str(address[0]), int(address[1])) for *_, address in found]


class Fetcher:
    def __init__(
        self,
        resolve: Resolve = resolve,
        allowed: Callable[[str], bool] = public,
        context: Callable[[], ssl.SSLContext] = ssl.create_default_context,
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._context = context
        self._trust: ssl.SSLContext | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Raises Failed or Absent."""
        return await self._fetch("GET", url, dict(headers or {}), b"")

    async def token(self, url: str, credential: str, scope: str) -> tuple[str, float]:
        """An OAuth 2 token for a client's id and secret (RFC 6749, 4.4), and for how many seconds it is good."""
        form = urlencode({"grant_type": "client_credentials", "scope": scope}).encode()
        headers = {
            "authorization": f"Basic {base64.b64encode(credential.encode()).decode()}",
            "content-type": "application/x-www-form-urlencoded",
        }
        answer = await self._fetch("POST", url, headers, form)
        try:
            document = json.loads(answer)
            return str(document["access_token"]), min(float(document.get("expires_in", 300)), 86400.0)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise Failed(f"{url} gave no token") from None

    async def _fetch(self, method: str, url: str, headers: dict[str, str], content: bytes) -> bytes:
        import httpx2

        try:
            async with asyncio.timeout(LIMIT):
                return await self._ask(method, url, headers, content)
        except TimeoutError:
            raise Failed(f"{url} did not answer in {LIMIT:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError, ValueError) as error:
            raise Failed(f"{url}: {str(error) or type(error).__name__}") from None

    async def _ask(self, method: str, url: str, headers: dict[str, str], content: bytes) -> bytes:
        """The certificate must be the host's, though the request goes to its address."""
        import httpx2

        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.username is not None:
            raise Failed(f"{url} is not https")
        address, port = await self._address(host, parts.port or 443)
        at = f"[{address}]" if ":" in address else address
        target = f"https://{at}:{port}{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        if self._trust is None:
            self._trust = await asyncio.to_thread(self._context)  # reading all roots takes a while
        async with (
            httpx2.AsyncClient(verify=self._trust, trust_env=False, timeout=LIMIT) as client,
            client.stream(
                method,
                target,
                content=content,
                headers={"host": parts.netloc, "accept-encoding": "identity", **headers},
                extensions={"sni_hostname": host},
            ) as response,
        ):
            if response.status_code == 404 or (response.status_code in ABSENT and "authorization" not in headers):
                raise Absent(f"{url} answered {response.status_code}")
            if response.status_code != 200:
                raise Failed(f"{url} answered {response.status_code}")
            return await bounded(response, url)

    async def _address(self, host: str, port: int) -> tuple[str, int]:
        found = await self._resolve(host, port)
        if not found or not all(self._allowed(address) for address, _ in found):
            raise Failed(f"{host} has no address, or one that is not public")
        return found[0]


async def bounded(response: "httpx2.Response", url: str) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_raw():
        size += len(chunk)
        if size > LARGEST:
            raise Failed(f"{url} answered more than {LARGEST} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
