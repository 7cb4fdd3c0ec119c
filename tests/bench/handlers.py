"""What workers run: nothing, or a call to a server that takes 50 ms. Each adds one byte to the file TICKS when it is done."""

import os
import time
from typing import Any

import httpx2

from workers import Event, Router

router = Router()
descriptor = os.open(os.environ.get("TICKS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
KIND = os.environ.get("HANDLER", "noop")
client: Any = None


def tick() -> None:
    os.write(descriptor, b".")


def noop(event: Event) -> None:
    tick()


async def async_noop(event: Event) -> None:
    tick()


async def call(event: Event) -> None:
    """With the library that our own client of Zyra's API uses."""
    global client
    client = client or httpx2.AsyncClient(
        trust_env=False, timeout=30, limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    )
    (await client.get(os.environ["SLOW_URL"])).raise_for_status()
    tick()


async def aiohttp_call(event: Event) -> None:
    """With the library that the peers' handlers use, where they are installed."""
    global client
    import aiohttp

    client = client or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with client.get(os.environ["SLOW_URL"]) as answer:
        await answer.read()
    tick()


def stamp(event: Event) -> None:
    """Says when it began."""
    os.write(descriptor, f"{event.delivery_id} {time.time():.6f}\n".encode())


handlers: dict[str, Any] = {"noop": noop, "async": async_noop, "call": call, "aiohttp": aiohttp_call, "stamp": stamp}
if KIND == "ordered":
    router.on("push", source="github", name="bench", key="key", ordered=True)(noop)
else:
    router.on("push", source="github", name="bench")(handlers[KIND])


def job(document: dict[str, Any]) -> None:
    """Nothing, as an RQ job."""
    tick()
