"""How long an answer takes at a fixed rate, and how long it is from a POST to its handler's start."""

import asyncio
import time
from pathlib import Path

import uvloop

from tests.support.kit import free_port, wait_for

from .load import body, open_loop, request, signature
from .stage import listening, stage, steady
from .systems import serve

PATH = "/webhooks/github"


def answers(rate: float, seconds: float, fsync: str = "everysec") -> list[float]:
    """Seconds, sorted, from the moment each request was due to its answer."""
    with stage(fsync) as here:
        port = free_port()
        serve(here, port)
        wait_for(lambda: listening(port))
        steady()
        uvloop.run(open_loop(port, rate, 1, PATH))
        found, codes = uvloop.run(open_loop(port, rate, seconds, PATH))
        if set(codes) != {b"202"}:
            raise SystemExit(f"void: {dict(codes)}")
        return sorted(found)


def to_handler(count: int, kind: str = "stamp") -> list[float]:
    """Seconds, sorted, from the first byte of a POST to the start of its handler; one event at a time, all else idle."""
    with stage() as here:
        port = free_port()
        serve(here, port)
        here.python("-m", "workers.cli", "work", HANDLER=kind)
        wait_for(lambda: listening(port))
        file = Path(here.env["TICKS"])
        sent = asyncio.run(one_by_one(port, count + 1))
        wait_for(lambda: file.exists() and len(file.read_text().splitlines()) > count)
        began = dict(line.split() for line in file.read_text().splitlines())
        return sorted(float(began[name]) - when for name, when in list(sent.items())[1:])  # the first one meets a start


async def one_by_one(port: int, count: int) -> dict[str, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    text, sent = body(), dict[str, float]()
    sign = signature(text)
    await asyncio.sleep(2)
    for number in range(count):
        name = f"d{number}"
        sent[name] = time.time()
        writer.write(request(name, text, sign, PATH))
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]))
        await asyncio.sleep(0.05)
    writer.close()
    return sent


def quantile(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(len(values) * share))]
