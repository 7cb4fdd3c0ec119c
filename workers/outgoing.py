"""Posts to other people's URLs from a handler, so that nobody's URL leads to the machines beside us.

The address is looked up, checked, and is the one that is connected to. No redirect, no proxy, https only.
"""

import json as encoding
import os
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx2

from receiver.contract.addresses import public

from .errors import GiveUp, RetryLater

TIMEOUT = httpx2.Timeout(10.0, connect=3.0)
LARGEST = 64 * 1024  # bytes of an answer that are looked at


class PostFailed(Exception):
    """No answer, or a 5xx: an ordinary failure."""


def post(url: str, *, json: Any = None, content: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """Posts JSON, or bytes as they are; the answer's beginning. Left to fly its errors mean the right thing:

    PostFailed is an ordinary failure, RetryLater a 429, GiveUp another 4xx or a URL that must not be called.
    ALLOW_PRIVATE_URLS=1 allows addresses of private networks, and http, for those who mean it.
    """
    body = encoding.dumps(json).encode() if json is not None else content
    kind = {"content-type": "application/json"} if json is not None else {}
    parts = urlsplit(url)
    try:
        with (
            httpx2.Client(verify=trust(), trust_env=False, timeout=TIMEOUT) as client,
            client.stream(
                "POST",
                target(url),
                content=body,
                headers={"host": parts.netloc.rpartition("@")[2], **kind, **(headers or {})},
                extensions={"sni_hostname": parts.hostname or ""},
            ) as response,
        ):
            answer = next(response.iter_bytes(LARGEST), b"")
    except httpx2.HTTPError as error:
        raise PostFailed(f"{parts.hostname}: {type(error).__name__}") from None
    judge(response.status_code, response.headers.get("retry-after", ""), str(parts.hostname))
    return answer


def judge(status: int, again: str, host: str) -> None:
    if status == 429:
        raise RetryLater(float(again) if again.isdecimal() else 60.0, f"{host} answered 429")
    if 400 <= status < 500 and status != 408:
        raise GiveUp(f"{host} answered {status}")
    if not 200 <= status < 300:
        raise PostFailed(f"{host} answered {status}")


def target(url: str) -> str:
    """The URL with the address that was checked in place of its host. Raises GiveUp and PostFailed."""
    parts, private = urlsplit(url), os.environ.get("ALLOW_PRIVATE_URLS") == "1"
    if parts.scheme != "https" and not (private and parts.scheme == "http"):
        raise GiveUp(f"{parts.scheme}://{parts.hostname} is not https")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except ValueError:
        raise GiveUp("the URL has no port that is one") from None
    except OSError as error:
        raise PostFailed(f"{parts.hostname}: {error.strerror}") from None
    addresses = [str(one[4][0]) for one in found]
    if not private and not all(map(public, addresses)):
        raise GiveUp(f"{parts.hostname} is in a private network: ALLOW_PRIVATE_URLS=1 allows that")
    at = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
    return f"{parts.scheme}://{at}:{port}{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


@cache
def trust() -> ssl.SSLContext:
    return ssl.create_default_context()
