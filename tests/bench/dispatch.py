"""Events a second from accepted to done, each of them a dispatch and a run; and jobs a second of other libraries."""

import sys
import time
from dataclasses import dataclass

from tests.support.kit import free_port, wait_for

from .load import bodies, closed_loop
from .stage import Process, Stage, listening, stage, steady
from .systems import Worker, serve


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Microseconds of processor time are for one event."""

    rate: float
    worker_us: float
    redis_us: float
    memory: float  # MiB of the worker


def through_the_front_door(here: Stage, count: int, kind: str = "github") -> None:
    """Fills the queue by the receiver. kind: of the bodies."""
    port = free_port()
    server = serve(here, port, 2 if count > 100_000 else 1)
    wait_for(lambda: listening(port))
    file = bodies(here.folder, kind)
    while (missing := count - int(here.client.zcard("zr:{bench}:events"))) > 0:
        seconds = max(1, min(30, missing // 12_000))
        closed_loop(port, 64, seconds, kind="github", path="/webhooks/github", file=file)
    server.end()


def with_keys(here: Stage, count: int) -> None:
    through_the_front_door(here, count, "keyed")


def measure(worker: Worker, count: int, most: float = 6.0) -> Measured:
    """The queue is filled first; start-up is not counted. Ends when all is done, or after `most` seconds."""
    with stage() as here:
        slow = free_port()
        here.start([sys.executable, "-m", "tests.bench.slow", str(slow)], here.env)
        here.env["SLOW_URL"] = f"http://127.0.0.1:{slow}/"
        worker.fill(here, count)
        filled = int(here.client.zcard("zr:{bench}:events")) or count
        process = worker.start(here)
        return drained(here, process, filled, most)


def drained(here: Stage, process: Process, count: int, most: float, first: int = 0) -> Measured:
    """first: how many were done before this worker came."""
    wait_for(lambda: here.ticks() > first or process.popen.poll() is not None)
    steady()
    first, cpu, started = here.ticks(), (process.cpu(), here.redis.cpu()), time.perf_counter()
    if first >= count:
        raise SystemExit(f"void: {count} jobs were done before anything was measured")
    while (done := here.ticks()) < count and time.perf_counter() - started < most:
        time.sleep(0.005)
    seconds = time.perf_counter() - started
    found = Measured(
        rate=(done - first) / seconds,
        worker_us=(process.cpu() - cpu[0]) / (done - first) * 1e6,
        redis_us=(here.redis.cpu() - cpu[1]) / (done - first) * 1e6,
        memory=process.memory(),
    )
    if done >= count and here.client.exists("zr:{bench}:events"):  # ours: the ledger says the same as the handlers
        wait_for(lambda: here.client.zcard("zr:{bench}:final") == here.client.zcard("zr:{bench}:events"))
    return found
