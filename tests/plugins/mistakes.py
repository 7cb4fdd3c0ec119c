"""Handlers with mistakes that show only when they run, beside twenty good ones."""

import asyncio
import os
import time
from typing import Any

from workers import AsyncZyra, Event, Router, Zyra

router = Router()


async def later() -> None: ...


@router.on("mistake.awaitable", name="awaitable", max_attempts=1)
def awaitable(event: Event) -> Any:
    return later()


@router.on("mistake.inner", name="inner", max_attempts=1)
async def inner(event: Event) -> Any:
    return later()


@router.on("mistake.generator", name="generator", max_attempts=1)
def generator(event: Event) -> Any:
    return (number for number in range(3))


@router.on("mistake.unawaited", name="unawaited", max_attempts=1)
async def unawaited(event: Event, zyra: AsyncZyra) -> None:
    await asyncio.sleep(0)
    zyra.virtual_servers.stop("vs_1")
    zyra.request("POST", "/api/v1/x")


@router.on("mistake.unawaited", name="wrong-client", max_attempts=1, isolated=True)
def wrong_client(event: Event, zyra: Zyra) -> None: ...


def die(event: Event) -> bool:
    os._exit(7)


def answer_later(event: Event) -> Any:
    return later()


@router.on("mistake.when", name="when-dies", when=die)
def when_dies(event: Event) -> None: ...


@router.on("mistake.when", name="when-is-async", when=answer_later, max_attempts=1)
def when_is_async(event: Event) -> None: ...


@router.on("mistake.when", name="when-says-no", when=lambda event: False)
def when_says_no(event: Event) -> None: ...


def good(event: Event) -> None: ...


for number in range(20):
    router.on("mistake.*", name=f"good-{number}")(good)


@router.on("prints", name="prints")
def prints(event: Event) -> None:
    import logging

    print("a line\nand", "half", end="")
    print(" of one")
    logging.getLogger("mine").warning("a line of mine")
    print("no end", end="")


@router.on("prints", name="prints-async")
async def prints_async(event: Event) -> None:
    print("of a task", end="")
    await asyncio.sleep(0.01)
    print(" in two parts")


@router.on("slow.loop", name="blocks")
async def blocks(event: Event) -> None:
    time.sleep(3)


@router.on("slow.late", name="late", timeout=0.2)
def late(event: Event) -> None:
    time.sleep(0.5)


@router.on("slow.delay", name="delayed", delay=1.5)
def delayed(event: Event) -> None: ...


@router.on("one-by-one", name="one-by-one", concurrency=1)
def one_by_one(event: Event) -> None:
    time.sleep(0.1)


@router.on("keyed", name="keyed", key="data.customer", concurrency=1)
def keyed(event: Event) -> None:
    time.sleep(0.3)


@router.on("rated", name="rated", rate="2/s")
async def rated(event: Event) -> None: ...


@router.on("keyed.badly", name="keyed-badly", key=lambda event: event.payload["none"], concurrency=1, max_attempts=1)
def keyed_badly(event: Event) -> None: ...


@router.on("debounced", name="debounced", key="data.customer", debounce=1, max_attempts=3, backoff=0.1)
def debounced(event: Event) -> None:
    if event.attempt == 1:
        raise ValueError("once more")


@router.on("aged", name="aged", key="data.customer", newest="data.updated_at", max_attempts=1)
def aged(event: Event) -> None: ...


@router.on("ordered", name="ordered", key="data.customer", ordered=True, backoff=0.05)
def ordered(event: Event) -> None:
    data = event.payload["data"]
    with open(os.environ["ORDERED_LOG"], "a") as log:
        log.write(f"{data['customer']} {data['number']}\n")
    if event.attempt == 1 and data["number"] % 5 == 0:
        raise ValueError("once more")


def fail_at_first(event: Event) -> str:
    if event.attempt == 1:
        raise ValueError("not yet")
    return "a"


@router.on("laned", name="laned", key=fail_at_first, ordered=True, backoff=0.05)
def laned(event: Event) -> None: ...
