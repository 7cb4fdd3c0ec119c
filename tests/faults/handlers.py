"""Two handlers that note each start and end in the file FAULT_LOG; the third fails its first attempts."""

import os
import signal
import time

from workers import Event, Router

router = Router()


def note(word: str, event: Event, name: str) -> None:
    line = f"{word} {event.delivery_id} {name} {event.attempt} {time.time():.3f}\n"
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, line.encode())
    os.close(descriptor)


@router.on("fault.*", name="one")
def one(event: Event) -> None:
    note("start", event, "one")
    time.sleep(event.payload.get("seconds", 0.05))
    note("end", event, "one")


@router.on("fault.three", name="two")
async def two(event: Event) -> None:
    note("start", event, "two")
    note("end", event, "two")


@router.on("fault.three", name="fails")
def fails(event: Event) -> None:
    note("start", event, "fails")
    raise ValueError("always")


@router.on("fault.poison", name="poison")
def poison(event: Event) -> None:
    note("start", event, "poison")
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)
