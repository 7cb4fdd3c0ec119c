"""Accepted and refused requests a second."""

import re
from dataclasses import dataclass
from urllib.request import urlopen

import redis

from tests.support.kit import free_port, wait_for

from .load import Load, bodies, closed_loop
from .stage import listening, stage, steady
from .systems import Receiver, serve

WARM = 1.0  # seconds before anything is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Microseconds of processor time and bytes of Redis' memory are for one request."""

    load: Load
    server_us: float
    redis_us: float
    bytes: float
    memory: float  # MiB of the server

    @property
    def rate(self) -> float:
        return self.load.rate


def measure(receiver: Receiver, connections: list[int], seconds: float, fsync: str) -> dict[int, Measured]:
    """By connections; a fresh Redis and a fresh receiver for all of them."""
    with stage(fsync) as here:
        port = free_port()
        server = receiver.start(here, port)
        wait_for(lambda: listening(port))
        steady()
        file = bodies(here.folder, "github")
        closed_loop(port, 16, WARM, kind="github", path=receiver.path, file=file)
        steady()
        found = {}
        for number in connections:
            before, memory, cpu = receiver.count(here), here.bytes_used(), (server.cpu(), here.redis.cpu())
            load = closed_loop(port, number, seconds, kind="github", path=receiver.path, file=file)
            steady()
            stored = receiver.count(here) - before
            sound(load, stored, number)
            found[number] = Measured(
                load=load,
                server_us=(server.cpu() - cpu[0]) / load.requests * 1e6,
                redis_us=(here.redis.cpu() - cpu[1]) / load.requests * 1e6,
                bytes=(here.bytes_used() - memory) / max(1, stored),
                memory=server.memory(),
            )
        return found


def sound(load: Load, stored: int, connections: int) -> None:
    """A run counts only if every request was answered 2xx and its event is there.

    When its time is over, wrk leaves up to one request a connection unanswered, whose events are there too.
    """
    if load.status or load.socket or not load.requests <= stored <= load.requests + connections:
        raise SystemExit(f"void: {load}, and {stored} events in Redis")


def zyra(connections: int, seconds: float) -> Measured:
    """The same with scheme zyra: the id stands in the body, which dedup has to read. The receiver's own counters must
    say the same as the ledger: as many events as answers, and no duplicate."""
    with stage() as here:
        port, metrics = free_port(), free_port()
        server = serve(here, port, metrics=metrics)
        wait_for(lambda: listening(port))
        steady()
        cpu = server.cpu(), here.redis.cpu()
        file = bodies(here.folder, "zyra")
        load = closed_loop(port, connections, seconds, kind="zyra", path="/webhooks/zyra", file=file)
        steady()
        stored = int(here.client.zcard("zr:{bench}:events"))
        told = counters(metrics)
        if load.status or load.socket or told != {"accepted": stored} or stored < load.requests:
            raise SystemExit(f"void: {load}, {stored} events, the receiver counted {told}")
        return Measured(
            load=load,
            server_us=(server.cpu() - cpu[0]) / load.requests * 1e6,
            redis_us=(here.redis.cpu() - cpu[1]) / load.requests * 1e6,
            bytes=0.0,
            memory=server.memory(),
        )


def counters(port: int) -> dict[str, int]:
    """What the receiver counted: accepted, duplicates, refused, unavailable."""
    with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    found: dict[str, int] = {}
    for name, value in re.findall(
        r"^zr_(accepted|duplicates|refused|unavailable)_total(?:{.*})? ([\d.e+]+)$", text, re.M
    ):
        found[name] = found.get(name, 0) + int(float(value))
    return found


def refused(connections: int, seconds: float) -> tuple[Measured, Measured, int]:
    """Accepted and refused by one receiver, and how many commands Redis executed for the refused."""
    with stage() as here:
        port = free_port()
        server = serve(here, port)
        wait_for(lambda: listening(port))
        steady()
        file = bodies(here.folder, "github")
        rows = []
        for kind in ("github", "unsigned"):
            closed_loop(port, 16, WARM, kind=kind, path="/webhooks/github", file=file)
            before, cpu = calls(here.client), server.cpu()
            load = closed_loop(port, connections, seconds, kind=kind, path="/webhooks/github", file=file)
            rows.append(
                Measured(
                    load=load,
                    server_us=(server.cpu() - cpu) / load.requests * 1e6,
                    redis_us=0.0,
                    bytes=0.0,
                    memory=server.memory(),
                )
            )
        if rows[0].load.status or rows[1].load.status != rows[1].load.requests:
            raise SystemExit(f"void: {rows}")
        return rows[0], rows[1], calls(here.client) - before


def calls(client: redis.Redis) -> int:
    """Commands that Redis executed, but those by which the receiver looks at it once a second, and this one."""
    found = client.info("commandstats")
    looking: tuple[str, ...] = ("cmdstat_info", "cmdstat_config|get", "cmdstat_ping")
    looking += (
        "cmdstat_mget",
        "cmdstat_sadd",
        "cmdstat_lpush",
        "cmdstat_ltrim",
        "cmdstat_expire",
        "cmdstat_hset",
        "cmdstat_hincrby",
    )  # what it tells
    return sum(told["calls"] for name, told in found.items() if name not in looking)
