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
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2

from receiver.contract.addresses import Target, are_public, parse_target

from .context import check_lease
from .errors import GiveUp, RetryLater
from .retry_after import parse_retry_after

TOTAL_SECONDS = 20.0  # for all of it: who drips must not hold a thread
TIMEOUT = httpx2.Timeout(10.0, connect=3.0)
BODY_SECONDS = 5.0  # of them for the body of an answer
MAX_ANSWER_BYTES = 64 * 1024  # of an answer that are looked at
VISIBLE = re.compile(r"[ -~\t]*")  # what may stand in a header
MAX_ADDRESSES = 4  # addresses of a host that are tried


@dataclass(frozen=True, slots=True)
class Post:
    """What would have been sent."""

    url: str
    body: bytes


RECORDER: ContextVar[list[Post] | None] = ContextVar("posts", default=None)  # where posts are noted instead of sent


class PostFailed(Exception):
    """No answer, or a 5xx: an ordinary failure."""


def post(url: str, *, json: Any = None, content: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Posts JSON, or bytes as they are; the answer's beginning. Left to fly its errors mean the right thing:

    PostFailed is an ordinary failure, RetryLater a 429, GiveUp another 4xx or a URL that must not be called. After an
    attempt has lost its lease, LeaseLost is raised and nothing is sent.
    ALLOW_PRIVATE_URLS=1 allows addresses of private networks, and http, for those who mean it.
    It blocks, for 20 s at most once the host's addresses are known: an `async def` handler uses asyncio.to_thread.
    """
    body = encoding.dumps(json).encode() if json is not None else content
    check_lease()
    if (recorder := RECORDER.get()) is not None:
        recorder.append(Post(url, body))
        return b""
    kind = {"content-type": "application/json"} if json is not None else {}
    target, addresses = find_target(url)
    fields = {"host": target.netloc, **kind, **(headers or {})}
    for name, value in fields.items():
        if not VISIBLE.fullmatch(f"{name}:{value}"):
            raise GiveUp(f"the header {name!r} is not printable ASCII: no attempt can send it")
    with ThreadPoolExecutor(1) as own:  # a loop of its own, also where this thread has one
        status, again, answer = own.submit(asyncio.run, send(target, addresses, body, fields)).result()
    judge_answer(status, again, target.host)
    return answer


async def send(
    target: Target, addresses: Sequence[str], body: bytes, headers: Mapping[str, str]
) -> tuple[int, str, bytes]:
    """Status, Retry-After, and the beginning of the answer. Raises PostFailed."""
    why = ""
    try:
        async with (
            asyncio.timeout(TOTAL_SECONDS),
            httpx2.AsyncClient(verify=load_trust(), trust_env=False, timeout=TIMEOUT) as http,
        ):
            for address in addresses[:MAX_ADDRESSES]:
                try:
                    return await exchange(http, target, address, body, headers)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    why = type(error).__name__  # nothing was sent: the next address may answer
    except TimeoutError:
        why = f"no answer within {TOTAL_SECONDS:.0f} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError) as error:  # also a header that is none
        why = type(error).__name__
    raise PostFailed(f"{target.host}: {why}")


async def exchange(
    http: httpx2.AsyncClient, target: Target, address: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, str, bytes]:
    more = {"sni_hostname": target.host}
    async with http.stream("POST", target.at(address), content=body, headers=headers, extensions=more) as response:
        answer = b""
        with contextlib.suppress(httpx2.HTTPError, TimeoutError):  # it is taken, whatever it goes on to say
            answer = await asyncio.wait_for(anext(response.aiter_bytes(MAX_ANSWER_BYTES), b""), BODY_SECONDS)
    return response.status_code, response.headers.get("retry-after", ""), answer


def judge_answer(status: int, again: str, host: str) -> None:
    if status == 429:
        raise RetryLater(parse_retry_after(again), f"{host} answered 429")
    if 400 <= status < 500 and status != 408:
        raise GiveUp(f"{host} answered {status}")
    if not 200 <= status < 300:
        raise PostFailed(f"{host} answered {status}")


def find_target(url: str) -> tuple[Target, tuple[str, ...]]:
    """The URL, and the addresses of its host, all of them checked.

    Raises GiveUp for a URL that must not be called, and PostFailed where its host is not found.
    """
    allows_private = os.environ.get("ALLOW_PRIVATE_URLS") == "1"
    try:
        target = parse_target(url)
    except ValueError as error:  # also of IDNA
        raise GiveUp(f"invalid URL: {error}") from None
    if target.scheme != "https" and not allows_private:
        raise GiveUp(f"{target.scheme}://{target.host} is not https")
    try:
        infos = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PostFailed(f"{target.host}: {error.strerror}") from None
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in infos))
    if not allows_private and not are_public(addresses):
        raise GiveUp(f"{target.host} is in a private network: ALLOW_PRIVATE_URLS=1 allows that")
    return target, addresses


@cache
def load_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


def open_client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(verify=load_trust(), trust_env=False, timeout=TIMEOUT)
