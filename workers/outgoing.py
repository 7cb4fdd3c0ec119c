"""Posts to other people's URLs from a handler. SSRF guard: only public addresses may be contacted.

The addresses are looked up, checked, and are those that are connected to. No redirect, no proxy, https only.
"""

import asyncio
import contextlib
import json as encoding
import os
import re
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from receiver.contract.addresses import public

from .errors import GiveUp, RetryLater

TOTAL = 20.0  # seconds for all of it: who drips must not hold a thread
TIMEOUT = httpx2.Timeout(10.0, connect=3.0)
PATIENCE = 5.0  # of them for the body of an answer
LARGEST = 64 * 1024  # bytes of an answer that are looked at
VISIBLE = re.compile(r"[ -~\t]*")  # what may stand in a header
MOST = 4  # addresses of a host that are tried
LONGEST_WAIT = 3600.0  # seconds that a Retry-After is believed


class PostFailed(Exception):
    """No answer, or a 5xx: an ordinary failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL with the addresses that were found for its host, all of them checked."""

    host: str
    port: int
    addresses: tuple[str, ...]
    scheme: str
    path: str

    @property
    def netloc(self) -> str:
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == {"https": 443, "http": 80}[self.scheme] else f"{name}:{self.port}"

    def at(self, address: str) -> str:
        return f"{self.scheme}://{f'[{address}]' if ':' in address else address}:{self.port}{self.path}"


def post(url: str, *, json: Any = None, content: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Posts JSON, or bytes as they are; the answer's beginning. Left to fly its errors mean the right thing:

    PostFailed is an ordinary failure, RetryLater a 429, GiveUp another 4xx or a URL that must not be called.
    ALLOW_PRIVATE_URLS=1 allows addresses of private networks, and http, for those who mean it.
    It blocks, for 20 s at most once the host's addresses are known: an `async def` handler uses asyncio.to_thread.
    """
    body = encoding.dumps(json).encode() if json is not None else content
    kind = {"content-type": "application/json"} if json is not None else {}
    found = target(url)
    given = {"host": found.netloc, **kind, **(headers or {})}
    for name, value in given.items():
        if not VISIBLE.fullmatch(f"{name}:{value}"):
            raise GiveUp(f"the header {name!r} is not printable ASCII: no attempt can send it")
    with ThreadPoolExecutor(1) as own:  # a loop of its own, also where this thread has one
        status, again, answer = own.submit(asyncio.run, sent(found, body, given)).result()
    judge(status, again, found.host)
    return answer


async def sent(target: Target, body: bytes, headers: Mapping[str, str]) -> tuple[int, str, bytes]:
    """Status, Retry-After, and the beginning of the answer. Raises PostFailed."""
    why = ""
    try:
        async with asyncio.timeout(TOTAL), httpx2.AsyncClient(verify=trust(), trust_env=False, timeout=TIMEOUT) as http:
            for address in target.addresses[:MOST]:
                try:
                    return await asked(http, target, address, body, headers)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    why = type(error).__name__  # nothing was sent: the next address may answer
    except TimeoutError:
        why = f"no answer within {TOTAL:.0f} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:  # also a header that is none
        why = type(error).__name__
    raise PostFailed(f"{target.host}: {why}")


async def asked(
    http: httpx2.AsyncClient, target: Target, address: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, str, bytes]:
    more = {"sni_hostname": target.host}
    async with http.stream("POST", target.at(address), content=body, headers=headers, extensions=more) as response:
        answer = b""
        with contextlib.suppress(httpx2.HTTPError, TimeoutError):  # it is taken, whatever it goes on to say
            answer = await asyncio.wait_for(anext(response.aiter_bytes(LARGEST), b""), PATIENCE)
    return response.status_code, response.headers.get("retry-after", ""), answer


def judge(status: int, again: str, host: str) -> None:
    if status == 429:
        raise RetryLater(min(float(again), LONGEST_WAIT) if again.isdecimal() else 60.0, f"{host} answered 429")
    if 400 <= status < 500 and status != 408:
        raise GiveUp(f"{host} answered {status}")
    if not 200 <= status < 300:
        raise PostFailed(f"{host} answered {status}")


def target(url: str) -> Target:
    """Raises GiveUp for a URL that must not be called, and PostFailed where its host is not found."""
    private = os.environ.get("ALLOW_PRIVATE_URLS") == "1"
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
        host = (parts.hostname or "").encode("idna").decode()
    except ValueError as error:  # also of IDNA
        raise GiveUp(f"invalid URL: {error}") from None
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise GiveUp(f"{parts.scheme}://{host} is not https")
    if not host or not port or "@" in parts.netloc:
        raise GiveUp("the URL must have a host and a port, and no user: give an Authorization header")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PostFailed(f"{host}: {error.strerror}") from None
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    if not private and not all(map(public, addresses)):
        raise GiveUp(f"{host} is in a private network: ALLOW_PRIVATE_URLS=1 allows that")
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return Target(host=host, port=port, addresses=addresses, scheme=parts.scheme, path=path)


@cache
def trust() -> ssl.SSLContext:
    return ssl.create_default_context()
