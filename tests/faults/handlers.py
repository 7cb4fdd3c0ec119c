"""Handlers that note each start and end in the file FAULT_LOG, one line each: word, event, handler, attempt, time, key."""

import os
import secrets
import signal
import time

from workers import Event, Router

router = Router()


def note(word: str, event: Event, name: str, key: str) -> None:
    line = f"{word} {event.delivery_id} {name} {event.attempt} {time.time():.3f} {key}\n"
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


def begin(event: Event, name: str) -> str:
    key = secrets.token_hex(6)
    note("start", event, name, key)
    return key


@router.on("fault.*", name="one")
def one(event: Event) -> None:
    key = begin(event, "one")
    time.sleep(event.payload.get("seconds", 0.05))
    note("end", event, "one", key)


@router.on("fault.three", name="two")
async def two(event: Event) -> None:
    note("end", event, "two", begin(event, "two"))


@router.on("fault.three", name="fails")
def fails(event: Event) -> None:
    begin(event, "fails")
    raise ValueError("always")


@router.on("fault.poison", name="poison")
def poison(event: Event) -> None:
    begin(event, "poison")
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)


@router.on("fault.stale", name="stale")
def stale(event: Event) -> None:
    """The first attempt fails, so late that another one was done before."""
    key = begin(event, "stale")
    if event.attempt == 1:
        time.sleep(8)
        raise ValueError("too late to matter")
    note("end", event, "stale", key)


@router.on("fault.sleepy", name="sleepy", timeout=90)
async def sleepy(event: Event) -> None:
    """One of them blocks the loop for a minute, four times as long as a lease."""
    key = begin(event, "sleepy")
    time.sleep(event.payload.get("blocks", 0))
    note("end", event, "sleepy", key)
