"""The rows: one fault each, while a provider sends."""

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tests.kit import children_of, wait_for
from workers import query

from .checker import Report, check
from .sender import Sent, send
from .world import World, world

COUNT = 600


def sending(bases: Sequence[str], sent: Sent, **options: float | str) -> threading.Thread:
    settings = {"count": COUNT, "kind": "fault.one", **options}
    thread = threading.Thread(target=lambda: asyncio.run(send(bases, sent, **settings)))  # type: ignore[arg-type]
    thread.start()
    return thread


def conclude(row: str, here: World, sent: Sent, thread: threading.Thread, kills: int = 0) -> Report:
    thread.join()
    recovery = here.settled()
    return check(row, sent, here.log, kills=kills, recovery=recovery)


def nothing(here: World) -> Report:
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    return conclude("1 no fault", here, sent, sending([base], sent))


def receiver_killed(here: World) -> Report:
    """SIGKILL under load, three times: what was written and not answered is sent again, and known."""
    sent, (base, process) = Sent(), here.receiver()
    here.worker()
    thread = sending([base], sent, at_once=16)
    for _ in range(3):
        time.sleep(0.4)
        here.kill(process)
        process = here.receiver_on(int(base.rpartition(":")[2]))
    return conclude("2 receiver killed", here, sent, thread)


def rolling_restart(here: World) -> Report:
    """Both roles, one after the other, by SIGTERM: every request is answered 202, nothing is repeated."""
    sent, ports = Sent(), []
    receivers = [here.receiver() for _ in range(2)]
    ports = [base for base, _ in receivers]
    workers = [here.worker() for _ in range(2)]
    thread = sending(ports[:1], sent, count=COUNT)
    for process in workers:
        time.sleep(0.5)
        here.worker()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    receivers[1][1].send_signal(signal.SIGTERM)
    receivers[1][1].wait(15)
    return conclude("4 rolling restart", here, sent, thread)


def worker_killed(here: World) -> Report:
    """A worker whole, in the midst of runs: they are repeated by another one, within 30 s."""
    sent, (base, _) = Sent(), here.receiver()
    first = here.worker()
    here.worker()
    thread = sending([base], sent, seconds=0.3, count=200)
    wait_for(lambda: here.log.stat().st_size > 2000)
    here.kill(first)
    return conclude("7 worker killed", here, sent, thread, kills=1)


def redis_killed(here: World) -> Report:
    """SIGKILL of Redis under load, and a start from its append-only file."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    thread = sending([base], sent)
    time.sleep(0.7)
    here.kill_redis()
    time.sleep(1)
    here.start_redis()
    return conclude("13 Redis killed", here, sent, thread)


def redis_away(here: World) -> Report:
    """Nobody there for ten seconds: only 503, then everything."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    thread = sending([base], sent)
    time.sleep(0.5)
    here.kill_redis()
    time.sleep(10)
    here.start_redis()
    return conclude("17 Redis away", here, sent, thread)


def reply_swallowed(here: World) -> Report:
    """Redis did it, and nobody heard: a doubt, a 503, and a redelivery that is known."""
    sent, (base, _) = Sent(), here.receiver(**here.through_proxy)
    here.worker()
    thread = sending([base], sent)
    for _ in range(10):
        time.sleep(0.15)
        here.proxy.swallow = 1
    return conclude("20 reply swallowed", here, sent, thread)


def connections_reset(here: World) -> Report:
    """Every connection of both roles, again and again. A claim whose reply is lost costs a lease, not the event."""
    sent, (base, _) = Sent(), here.receiver(**here.through_proxy)
    here.worker(**here.through_proxy)
    thread = sending([base], sent)
    for _ in range(8):
        time.sleep(0.25)
        here.proxy.reset()
    return conclude("22 connections reset", here, sent, thread, kills=8)


def slow_redis(here: World) -> Report:
    """200 ms before each reply."""
    sent, (base, _) = Sent(), here.receiver(**here.through_proxy)
    here.worker()
    here.proxy.delay = 0.2
    return conclude("23 slow Redis", here, sent, sending([base], sent))


def two_sweepers(here: World) -> Report:
    """A queue that somebody deleted, and four workers that sweep: each entry comes back once."""
    sent, (base, _) = Sent(), here.receiver()
    thread = sending([base], sent)
    thread.join()
    here.ledger.client.delete(here.ledger.keys.jobs)
    for _ in range(4):
        here.worker()
    wait_for(lambda: here.ledger.client.zcard(here.ledger.keys.named("pending")) == 0, 60)
    return conclude("33 four sweepers", here, sent, thread)


def one_of_three_fails(here: World) -> Report:
    """Its neighbours run once."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    return conclude("37 one of three fails", here, sent, sending([base], sent, kind="fault.three", count=200))


def poison(here: World) -> Report:
    """One event whose handler kills its process, among 49 innocents in flight: they end, it is quarantined."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker("--concurrency", "32")
    time.sleep(16)  # as long as a lease: a worker that is younger lets none end
    thread = sending([base], sent, seconds=1.0, count=49)
    sending([base], sent, kind="fault.poison", count=1).join()
    report = conclude("12 poison", here, sent, thread, kills=1)
    (event,) = query.search(here.ledger, query.Filter(type="fault.poison"))
    states = {run["handler"]: (run["state"], run["error"][:11]) for run in event["runs"]}
    assert states == {"one": ("done", ""), "poison": ("dead", "quarantined")}, states
    return report


def worker_paused(here: World) -> Report:
    """SIGSTOP for 20 s, then on: another worker took over, and the first one's outcomes do not count."""
    sent, (base, _) = Sent(), here.receiver()
    paused = here.worker()
    here.worker()
    time.sleep(16)
    thread = sending([base], sent, seconds=0.3, count=100)
    wait_for(lambda: here.log.stat().st_size > 1000)
    with stopped(paused.pid):
        time.sleep(20)
    return conclude("10 worker paused", here, sent, thread, kills=1)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    pids = [pid, *children_of(pid)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    yield
    for one in reversed(pids):
        os.kill(one, signal.SIGCONT)


def claims_swallowed(here: World) -> Report:
    """Replies to a worker are lost: what it popped or claimed without knowing comes back."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker(**here.through_proxy)
    here.worker()
    thread = sending([base], sent)
    for _ in range(10):
        time.sleep(0.15)
        here.proxy.swallow = 1
    return conclude("21 replies to a worker swallowed", here, sent, thread, kills=1)


def redis_full(here: World) -> Report:
    """maxmemory reached during accepts and ends: 503, what runs ends, and later everything else."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    thread = sending([base], sent, seconds=0.2)
    time.sleep(0.6)
    here.ledger.client.config_set("maxmemory", here.ledger.client.info("memory")["used_memory"] - 1)
    time.sleep(4)
    here.ledger.client.config_set("maxmemory", 0)
    return conclude("25 Redis full", here, sent, thread)


def duplicate_storm(here: World) -> Report:
    """Each delivery 20 times at once."""
    sent, (base, _) = Sent(), here.receiver()
    here.worker()
    return conclude("39 duplicate storm", here, sent, sending([base], sent, copies=20, count=100, at_once=10))


Row = Callable[[World], Report]
SHORT: list[Row] = [
    nothing, receiver_killed, worker_killed, poison, redis_killed, reply_swallowed, one_of_three_fails, duplicate_storm,
]  # fmt: skip
LONG: list[Row] = [
    rolling_restart, redis_full, worker_paused, redis_away, claims_swallowed, connections_reset, slow_redis, two_sweepers,
]  # fmt: skip
CONTROLS: list[tuple[str, Row, dict[str, bool]]] = [
    ("without append-only file", redis_killed, {"keep": False}),
    ("without dedup", duplicate_storm, {"dedup": False}),
]


def run(row: Row, **guards: bool) -> Report:
    with world(**guards) as here:
        return row(here)
