"""Faults at random, from a seed, under a steady stream of events: `make soak MINUTES=20 SEED=1`.

The table goes to standard output; the raw logs stay in a new folder, outside the tree, which standard error names.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from tests.support.kit import children_of, wait_for

from .checker import IN_FLIGHT, check
from .sender import Provider, Sent
from .table import head, show
from .world import World, status, stopped

RATE = 110.0  # events a second
SECONDS = 0.55  # that a handler takes, so that more than 50 runs are in flight
LEAST = 50  # runs in flight when a fault begins
OPTIONS = ("--processes", "2", "--concurrency", "32")
PLACES = 64 // IN_FLIGHT  # what a worker whose all is lost may cost, in the checker's measure


class Nemesis:
    def __init__(self, here: World, seed: int, least: int = LEAST) -> None:
        self.here = here
        self.least = least
        self.chance = random.Random(seed)
        self.bases: list[str] = []
        self.receivers: dict[str, subprocess.Popen[bytes]] = {}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.kills = 0
        self.faults: list[dict[str, float | str]] = []
        for number in range(2):
            self._receiver(number)
            self._worker(number)

    def _receiver(self, number: int) -> None:
        base, process = self.here.receiver(**(self.here.through_proxy if number % 2 else {}))
        self.receivers[base] = process
        self.bases.append(base)

    def _worker(self, number: int) -> None:
        self.workers.append(self.here.worker(*OPTIONS, **(self.here.through_proxy if number % 2 else {})))

    # --- faults; each ends when what it broke is there again

    def worker_killed(self) -> None:
        worker = self._some_worker()
        for pid in [worker.pid, *children_of(worker.pid)]:
            os.kill(pid, signal.SIGKILL)
        self._replace(worker)
        self.kills += PLACES

    def workers_parent_killed(self) -> None:
        worker = self._some_worker()
        worker.kill()
        self._replace(worker)
        self.kills += PLACES

    def worker_process_killed(self) -> None:
        processes = [pid for worker in self.workers for pid in children_of(worker.pid)]
        os.kill(self.chance.choice(processes), signal.SIGKILL)
        self.kills += 1

    def worker_terminated(self) -> None:
        worker = self._some_worker()
        worker.terminate()
        self._replace(worker)

    def worker_paused(self) -> None:
        with stopped(self._some_worker().pid):
            time.sleep(self.chance.uniform(2, 20))
        self.kills += PLACES

    def receiver_killed(self) -> None:
        base = self.chance.choice(self.bases)
        self.receivers[base].kill()
        self._renew(base)

    def receiver_terminated(self) -> None:
        base = self.chance.choice(self.bases)
        self.receivers[base].terminate()
        wait_for(lambda: status(base) != 200)  # what a balancer sees
        self._renew(base)

    def redis_killed(self) -> None:
        self.here.redis.kill()
        time.sleep(self.chance.uniform(0, 2))
        self.here.redis.start()

    def redis_hanging(self) -> None:
        with self.here.redis.paused():
            time.sleep(self.chance.uniform(1, 4))

    def redis_silent(self) -> None:
        self.here.redis.client.client_pause(1500)
        time.sleep(1.5)

    def redis_slow(self) -> None:
        self.here.proxy.delay = self.chance.uniform(0.1, 0.4)
        time.sleep(3)
        self.here.proxy.delay = 0.0

    def connections_reset(self) -> None:
        self.here.proxy.reset()

    def replies_swallowed(self) -> None:
        self.here.proxy.swallow = 3

    def queue_deleted(self) -> None:
        self.here.redis.client.delete(self.here.ledger.keys.jobs)

    # --- the order of things

    def _some_worker(self) -> subprocess.Popen[bytes]:
        return self.chance.choice(self.workers)

    def _replace(self, worker: subprocess.Popen[bytes]) -> None:
        number = self.workers.index(worker)
        self.workers[number] = self.here.worker(*OPTIONS, **(self.here.through_proxy if number % 2 else {}))
        worker.wait(60)

    def _renew(self, base: str) -> None:
        number = self.bases.index(base)
        self.bases.remove(base)
        self.receivers.pop(base).wait(20)
        self._receiver(number)

    def kinds(self) -> list[Callable[[], None]]:
        return [
            self.worker_killed, self.workers_parent_killed, self.worker_process_killed, self.worker_terminated,
            self.worker_paused, self.receiver_killed, self.receiver_terminated, self.redis_killed, self.redis_hanging,
            self.redis_silent, self.redis_slow, self.connections_reset, self.replies_swallowed, self.queue_deleted,
        ]  # fmt: skip

    def torment(self, seconds: float) -> None:
        """Every kind in turn, in an order that is new each time."""
        ends, deck = time.monotonic() + seconds, list[Callable[[], None]]()
        while time.monotonic() < ends:
            deck = deck or self.chance.sample(self.kinds(), len(self.kinds()))
            fault = deck.pop()
            in_flight = self._under_load()
            began = time.time()
            fault()
            self.faults.append({"kind": fault.__name__, "began": began, "ended": time.time(), "in_flight": in_flight})
            time.sleep(self.chance.uniform(6, 10))

    def _under_load(self) -> int:
        """How many runs are in flight, once these are enough."""
        seen = [0]
        wait_for(lambda: [seen.append(self.running())] and seen[-1] >= self.least, 60)
        return seen[-1]

    def running(self) -> int:
        return int(self.here.ledger.client.zcard(self.here.ledger.keys.name("running")))


@contextlib.contextmanager
def sending(send: Callable[[threading.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Sends in a thread meanwhile, until the event is set."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(send(stop)))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def recoveries(faults: list[dict[str, float | str]], acked: dict[str, float], done: dict[str, float]) -> list[float]:
    """For each fault: from its end until all had ended that was accepted before it began, in seconds."""
    open_at = sorted((when, done.get(name, when)) for name, when in acked.items())
    found = []
    for fault in faults:
        last = max((end for when, end in open_at if when <= float(fault["began"]) < end), default=0.0)
        found.append(max(0.0, last - float(fault["ended"])))
    return found


def main() -> int:
    minutes, seed = float(os.environ.get("MINUTES") or 20), int(os.environ.get("SEED") or time.time())
    folder = Path(os.environ.get("SOAK_DIR") or tempfile.mkdtemp(prefix="zr-soak-"))
    print(f"seed {seed}, raw logs in {folder}", file=sys.stderr)
    here = World(folder)
    try:
        nemesis, sent = Nemesis(here, seed), Sent()
        provider = Provider(nemesis.bases, sent, "fault.one", try_for=120)
        with sending(lambda stop: provider.stream(RATE, stop, seconds=SECONDS)):
            nemesis.torment(minutes * 60)
        recovery = here.settled(120)
        done = here.done()
        report = check("soak", sent, here.log, done, kills=nemesis.kills, recovery=recovery)
    finally:
        here.end()
    after = recoveries(nemesis.faults, sent.acked, done)
    for fault, seconds in zip(nemesis.faults, after, strict=True):
        fault["recovery"] = seconds
    raw = {"seed": seed, "faults": nemesis.faults, "acked": sent.acked, "done": done}
    (folder / "soak.json").write_text(json.dumps(raw))
    head()
    held = report.holds and max(after) <= 30
    show(report, "holds" if held else "FAILS")
    counts = Counter(str(fault["kind"]) for fault in nemesis.faults)
    in_flight = [float(fault["in_flight"]) for fault in nemesis.faults]
    print(f"\n{len(nemesis.faults)} faults: {', '.join(f'{count} {kind}' for kind, count in sorted(counts.items()))}")
    print(f"runs in flight when a fault began: at least {min(in_flight):g}, median {statistics.median(in_flight):g}")
    print(f"from a fault's end until all accepted before it had ended: at most {max(after):.1f} s, median "
          f"{statistics.median(after):.1f} s")  # fmt: skip
    return not held


if __name__ == "__main__":
    sys.exit(main())
