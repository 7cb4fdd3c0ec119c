"""Handlers that misbehave, each in its own way, and one that does not. They note what they do like those in `basic`."""

import asyncio
import contextlib
import os
import re
import signal
import time

from workers import Event, Router

from .basic import note

router = Router()
LEAK: list[bytes] = []


@router.on("good", name="good")
def good(event: Event) -> None:
    note(event, "good")
    time.sleep(event.payload.get("seconds", 0))


@router.on("good-async", name="good-async", timeout=2)
async def good_async(event: Event) -> None:
    note(event, "good-async")
    await asyncio.sleep(1)


@router.on("bad.hangs", name="hangs", timeout=1, max_attempts=1)
def hangs(event: Event) -> None:
    note(event, "hangs")
    while True:
        time.sleep(1)


@router.on("bad.swallows", name="swallows", timeout=1, max_attempts=1)
async def swallows(event: Event) -> None:
    note(event, "swallows")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


@router.on("bad.leaks", name="leaks", max_attempts=1)
def leaks(event: Event) -> None:
    note(event, "leaks")
    while True:
        LEAK.append(bytes(1 << 24))
        time.sleep(0.01)


@router.on("bad.descriptors", name="descriptors", max_attempts=1)
def descriptors(event: Event) -> None:
    note(event, "descriptors")
    while True:
        os.dup(2)


@router.on("bad.forks", name="forks", max_attempts=1)
def forks(event: Event) -> None:
    """Both of them return."""
    note(event, "forks")
    os.fork()


@router.on("bad.leaves-a-child", name="leaves-a-child", max_attempts=1)
def leaves_a_child(event: Event) -> None:
    """The child outlives its process, with everything that was open there."""
    note(event, "leaves-a-child")
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)


@router.on("bad.exits", name="exits", max_attempts=1)
def exits(event: Event) -> None:
    note(event, "exits")
    os._exit(0)


class Base(BaseException):
    pass


@router.on("bad.base", name="base", max_attempts=1)
def base(event: Event) -> None:
    note(event, "base")
    raise Base("no")


@router.on("bad.when", name="when", when=lambda event: bool(exec("raise SystemExit(3)")), max_attempts=1)
def when(event: Event) -> None:
    note(event, "when")


@router.on("bad.task", name="task", timeout=1, max_attempts=1)
async def task(event: Event) -> None:
    """A task of its own that ends the loop, as asyncio sees it."""
    note(event, "task")

    async def leave() -> None:
        raise SystemExit(3)

    await asyncio.create_task(leave())


@router.on("bad.closes", name="closes", max_attempts=1)
def closes(event: Event) -> None:
    note(event, "closes")
    os.closerange(3, 256)
    time.sleep(3)


@router.on("bad.stops", name="stops", timeout=1, max_attempts=1)
def stops(event: Event) -> None:
    note(event, "stops")
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(30)  # threads go on for a moment


@router.on("bad.keeps-the-lock", name="keeps-the-lock", timeout=1, max_attempts=1)
def keeps_the_lock(event: Event) -> None:
    """A regular expression that needs hours, in one call into C."""
    note(event, "keeps-the-lock")
    re.match(r"(a|a)*b", "a" * 60)


@router.on("bad.blocks", name="blocks", timeout=20)
async def blocks(event: Event) -> None:
    """A loop that stands still, though not for ever."""
    note(event, "blocks")
    time.sleep(6)  # the sin


@router.on("bad.when-hangs", name="when-hangs", when=lambda event: bool(time.sleep(3600)), max_attempts=1)
def when_hangs(event: Event) -> None:
    note(event, "when-hangs")
