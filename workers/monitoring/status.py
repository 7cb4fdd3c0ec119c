"""What is flowing, what is stuck, since when, and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

from receiver.contract.connection import compute_memory_share, decode_text
from receiver.contract.figures import EVENT_INDEXES, RUN_INDEXES, count_workers, measure_oldest, read_counters
from receiver.contract.keys import read_event_id
from receiver.contract.records import read_number

from ..ledger.query import format_time
from ..ledger.transitions import Ledger
from ..zyra.budget import list_refusals

SLOW_SECONDS = 60.0  # that an event may wait for its dispatch before status says that workers do not keep up
INDEXES = (*EVENT_INDEXES.values(), *RUN_INDEXES.values(), "later", "junk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """count: how many; since: RFC 3339, or "" where nobody knows; do: the advice."""

    what: str
    count: int
    since: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    queue: str
    counts: dict[str, int]
    queue_length: int
    workers: int
    oldest_seconds: float
    memory: float  # share of maxmemory, 0 where there is no limit
    untyped: dict[str, int]  # events without a type, by source, since the ledger began
    stuck: list[Trouble]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def survey(ledger: Ledger) -> Status:
    """One look at the ledger. Raises what Redis raises."""
    client, keys = ledger.client, ledger.keys
    with client.pipeline(transaction=False) as pipe:
        for name in INDEXES:
            pipe.zcard(keys.name(name))
        pipe.llen(keys.jobs)
        pipe.info("memory")
        pipe.time()
        *cards, length, memory, (seconds, micro) = pipe.execute()
    counts, now = dict(zip(INDEXES, cards, strict=True)), seconds + micro / 1e6
    status = Status(
        queue=keys.queue,
        counts=counts,
        queue_length=length,
        workers=count_workers(client, keys, now),
        oldest_seconds=measure_oldest(client, keys, now),
        memory=compute_memory_share(memory),
        untyped={
            name.partition(":")[2]: count
            for name, count in read_counters(client, keys).items()
            if name.startswith("untyped:")
        },
        stuck=[],
    )
    status.stuck.extend(list_troubles(ledger, status))
    return status


def list_troubles(ledger: Ledger, status: Status) -> list[Trouble]:
    """What a person should look at, worst first."""
    counts, waiting = status.counts, status.counts["pending"] + status.counts["queued"]
    late = status.oldest_seconds > SLOW_SECONDS
    rows = [
        (waiting > 0 and not status.workers, "no worker", waiting, "pending", "start one: zyra-receiver work"),
        (late and status.workers, "workers do not keep up", waiting, "pending", "more --processes, or another worker"),
        (counts["dead"], "dead letters", counts["dead"], "dead", "events list --state dead; then replay or discard"),
        (
            counts["parked"],
            "sealed with an unknown key",
            counts["parked"],
            "parked",
            "put the old key back into SEAL_KEY",
        ),
        (
            counts["later"],
            "written by a later release",
            counts["later"],
            "later",
            "start a worker of that release; this one leaves them alone",
        ),
        (counts["junk"], "records set aside", counts["junk"], "junk", f"see the index {ledger.keys.name('junk')}"),
        (status.memory > 0.8, "Redis is short of memory", 1, "", "raise maxmemory, or shorten KEEP_DONE"),
    ]
    troubles = [
        Trouble(what=what, count=int(count), since=find_since(ledger, index), do=advice)
        for wrong, what, count, index, advice in rows
        if wrong
    ]
    return troubles + [
        Trouble(what=f"Zyra refuses {key}", count=1, since=format_time(at), do="replace the key; its runs wait")
        for key, at in list_refusals(ledger.of_api).items()
    ]


def find_since(ledger: Ledger, index: str) -> str:
    """When the first entry of an index was added, or in an index that is in another order, its event received."""
    first: Any = ledger.client.zrange(ledger.keys.name(index), 0, 0, withscores=True) if index else []
    if not first:
        return ""
    name, score = first[0]
    if index in ("pending", "parked", "later"):
        event = read_event_id(decode_text(name))
        score = read_number(ledger.client.hget(ledger.keys.event(event), "received_at"))
    return format_time(int(score))
