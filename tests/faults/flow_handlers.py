"""Handlers under flow control. Each notes its starts and ends in the file FAULT_LOG, a JSON object a line.

CONTROL=1 leaves their options out.
"""

import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

from workers import Event, Router
from workers.context import CURRENT

router = Router()


def on(kind: str, **options: Any) -> Callable[[Callable[[Event], None]], object]:
    if os.environ.get("CONTROL"):
        options = {}
    return router.on(f"flow.{kind}", name=kind, backoff=0.5, **options)


def note(word: str, handler: str, event: Event) -> None:
    entry = {
        "word": word,
        "handler": handler,
        "key": event.payload["key"],
        "number": event.payload["number"],
        "attempt": event.attempt,
        "at": time.time(),
    }
    descriptor = os.open(os.environ["FAULT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{json.dumps(entry)}\n".encode())
    os.close(descriptor)


def work(handler: str, event: Event, seconds: float, failures: float = 0.0) -> None:
    """An attempt that lost its lease ends without a note: its API client would refuse to call, too."""
    note("start", handler, event)
    time.sleep(random.uniform(0.5, 1.5) * seconds)
    if event.attempt == 1 and random.random() < failures:
        raise ValueError("once more")
    CURRENT.get().lease.check()
    note("end", handler, event)


@on("ordered", key="key", ordered=True)
def ordered(event: Event) -> None:
    work("ordered", event, 0.05, failures=0.03)


@on("newest", key="key", newest="number")
def newest(event: Event) -> None:
    work("newest", event, 0.1, failures=0.03)


@on("concurrency", key="key", concurrency=2)
def concurrency(event: Event) -> None:
    work("concurrency", event, 0.25)


@on("rate", key="key", rate="20/min")
def rate(event: Event) -> None:
    work("rate", event, 0.01)


@on("debounce", key="key", debounce=2, at_most=30)
def debounce(event: Event) -> None:
    work("debounce", event, 0.05)
