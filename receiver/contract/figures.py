"""What status, the receiver's metrics and the workers' compute of the ledger."""

from typing import Any

from .connection import decode_text
from .keys import Keys
from .records import read_number

EVENT_INDEXES = {  # the label people see, and the index in Redis
    "accepted": "pending",
    "dispatching": "dispatching",
    "parked": "parked",
    "dispatched": "open",
    "dead": "dead",
}
RUN_INDEXES = {
    "queued": "queued",
    "running": "running",
    "waiting": "waiting",
    "paused": "paused",
    "blocked": "blocked",
}
DECLARED_SECONDS = 600.0  # since a receiver last declared a source: it does so once a minute
ALIVE_SECONDS = 20.0  # since a worker's last sign of life, of which there is one every five seconds


def measure_oldest(client: Any, keys: Keys, now: float) -> float:
    """Seconds since the oldest event that is not dispatched was queued; 0 where there is none. now: Redis' time."""
    first = client.zrange(keys.name("pending"), 0, 0)
    if not first:
        return 0.0
    again, received = client.hmget(keys.event(decode_text(first[0])), "queued_at", "received_at")
    return max(0.0, now - read_number(again or received) / 1000)


def count_alive(client: Any, keys: Keys, now: float, index: str) -> int:
    """Workers or receivers that have shown a sign of life lately. now: Redis' time."""
    return int(client.zcount(keys.name(index), int((now - ALIVE_SECONDS) * 1000), "+inf"))


def measure_overdue(client: Any, keys: Keys, now: float) -> dict[str, float]:
    """By how many seconds each source with an `expect_every` is silent for longer than that; 0 where it is not.

    now: Redis' time. A source that no receiver has declared for a while is not expected any more.
    """
    heard, overdue = client.hgetall(keys.name("heard")), {}
    for source, told in sorted(client.hgetall(keys.name("expected")).items()):
        every, declared, first = (read_number(part) for part in [*decode_text(told).split(" "), "", ""][:3])
        if every and declared >= (now - DECLARED_SECONDS) * 1000:
            since = read_number(heard.get(source)) or first
            overdue[decode_text(source)] = max(0.0, now - (since + every) / 1000)
    return overdue


def show_life(client: Any, keys: Keys, worker: str) -> None:
    """A worker's sign of life."""
    seconds, micro = client.time()
    now = seconds * 1000 + micro // 1000
    client.zadd(keys.name("workers"), {worker: now})
    client.zremrangebyscore(keys.name("workers"), "-inf", now - 86_400_000)


def read_counters(client: Any, keys: Keys) -> dict[str, int]:
    """What happened, by name: `ledger.lua` says what is counted."""
    return {
        decode_text(name): read_number(value) for name, value in sorted(client.hgetall(keys.name("counters")).items())
    }
