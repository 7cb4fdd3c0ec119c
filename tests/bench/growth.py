"""The same rates with a large ledger as with an empty one, and what an event costs in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.kit import free_port, wait_for

from .dispatch import drained
from .load import bodies, closed_loop
from .stage import Stage, listening, stage, steady
from .systems import Worker, serve

PART = 60_000  # events that are put in and handled for one measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    ingest: float
    dispatch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Medians are the caller's. bytes: of Redis' memory for one event that waits, and for one that is done."""

    small: list[Measured]
    large: list[Measured]
    events: int
    waiting_bytes: float
    done_bytes: float
    expired_per_second: float


def measure(count: int, rounds: int, worker: Callable[[], Worker]) -> Growth:
    """Two ledgers side by side, one of them with so many finished events; both come in through the front door."""
    with stage() as small, stage() as large:
        empty = large.bytes_used()
        put(large, count)
        waiting = (large.bytes_used() - empty) / size(large)
        process = worker().start(large)
        wait_for(lambda: large.client.zcard("zr:{bench}:final") >= size(large), 600)
        process.end()
        done = (large.bytes_used() - empty) / size(large)
        found: dict[int, list[Measured]] = {0: [], 1: []}
        for _ in range(rounds):
            for number, here in enumerate((small, large)):
                if not number:
                    here.client.flushall()
                found[number].append(once(here, worker()))
        return Growth(
            small=found[0],
            large=found[1],
            events=size(large),
            waiting_bytes=waiting,
            done_bytes=done,
            expired_per_second=expired(large, worker()),
        )


def size(here: Stage) -> int:
    return int(here.client.zcard("zr:{bench}:events"))


def put(here: Stage, count: int) -> float:
    """Events a second."""
    port = free_port()
    server = serve(here, port)
    wait_for(lambda: listening(port))
    steady()
    file, wanted, rate = bodies(here.folder, "github"), size(here) + count, 0.0
    while (missing := wanted - size(here)) > 0:
        seconds = max(1, min(30, missing // 15_000))
        rate = closed_loop(port, 64, seconds, kind="github", path="/webhooks/github", file=file).rate
    server.end()
    return rate


def once(here: Stage, worker: Worker) -> Measured:
    before = size(here)
    ingest = put(here, PART)
    ticks = here.ticks()
    process = worker.start(here)
    found = drained(here, process, ticks + size(here) - before, 30, first=ticks)
    process.end()
    return Measured(ingest=ingest, dispatch=found.rate)


def expired(here: Stage, worker: Worker) -> float:
    """Finished events a second that one idle worker deletes, once all of them have expired."""
    here.client.zunionstore("zr:{bench}:final", {"zr:{bench}:final": 0.0})  # their time is over: scores become 0
    process, before, started = worker.start(here), size(here), time.perf_counter()
    wait_for(lambda: size(here) < before)
    time.sleep(5)
    rate = (before - size(here)) / (time.perf_counter() - started)
    process.end()
    return rate
