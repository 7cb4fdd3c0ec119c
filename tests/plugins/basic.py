"""Handlers for tests: each writes a line to the file that NOTES names, and behaves as the payload says."""

import asyncio
import os
import signal
import time

from workers import AsyncZyra, Event, GiveUp, RetryLater, Router, Zyra, allow

router = Router()


def note(event: Event, name: str) -> None:
    with open(os.environ.get("NOTES", os.devnull), "a") as file:
        file.write(f"{event.id} {name} {event.attempt} {event.is_replay}\n")


@router.on("basic.*", name="good")
def good(event: Event) -> None:
    note(event, "good")


@router.on("basic.two", name="also-good")
async def also_good(event: Event) -> None:
    await asyncio.sleep(0)
    note(event, "also-good")


@router.on("basic.two", name="flaky", max_attempts=4)
def flaky(event: Event) -> None:
    note(event, "flaky")
    if event.attempt <= 2:
        raise ValueError("not yet")


@router.on("hopeless", name="hopeless")
def hopeless(event: Event) -> None:
    note(event, "hopeless")
    if not event.is_replay:
        raise GiveUp("never")


@router.on("later", name="later")
def later(event: Event) -> None:
    note(event, "later")
    if event.attempt == 1:
        raise RetryLater(0.2)


@router.on("slow", name="slow", timeout=1, max_attempts=1)
def slow(event: Event) -> None:
    note(event, "slow")
    time.sleep(30)


@router.on("slow-async", name="slow-async", timeout=0.3, max_attempts=1)
async def slow_async(event: Event) -> None:
    note(event, "slow-async")
    await asyncio.sleep(30)


@router.on("exit", name="exit")
async def leave(event: Event) -> None:
    note(event, "exit")
    raise SystemExit(3)


@router.on("dies", name="dies", isolated=True)
def dies(event: Event) -> None:
    note(event, "dies")
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)


@router.on("dies-once", name="dies-once")
def dies_once(event: Event) -> None:
    note(event, "dies-once")
    if event.attempt == 1:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(5)


@router.on("alone", name="alone", isolated=True)
def alone(event: Event) -> None:
    note(event, f"alone-{os.getpid()}")


@router.on("pause", name="pause", concurrency=1)
def pause(event: Event) -> None:
    note(event, "pause-start")
    time.sleep(0.3)
    note(event, "pause-end")


@router.on("calls", name="calls")
async def calls(event: Event, zyra: AsyncZyra) -> None:
    note(event, "calls")
    await zyra.virtual_servers.get("vs_1")


@router.on("calls", name="calls-sync", max_attempts=1)
def calls_sync(event: Event, zyra: Zyra) -> None:
    note(event, f"calls-sync-{allow('k' + event.id, 1, 60)}")
    zyra.virtual_servers.get("vs_1")


@router.on("picky", name="picky", when=lambda event: event.payload["n"] > 1)
def picky(event: Event) -> None:
    note(event, "picky")


@router.on("hook", source="github", name="hook")
def hook(event: Event) -> None:
    note(event, "hook")


@router.on("short", name="short")
def short(event: Event) -> None:
    note(event, "short")
    time.sleep(event.payload.get("seconds", 2))
