"""One look at the ledger for people: what flows, what is stuck, since when, why, and what to do."""

from dataclasses import asdict, dataclass
from typing import Any

from .connection import compute_memory_share
from .figures import EVENT_INDEXES, RUN_INDEXES, count_alive, measure_oldest, read_counters
from .keys import Keys
from .ledger_facts import (
    Cause,
    Pause,
    Refusals,
    format_ms,
    list_causes,
    list_pauses,
    list_refusals,
    pick,
    read_recent,
    read_table,
)  # fmt: skip
from .records import read_number
from .troubles import (
    Trouble,
    list_backlogs,
    list_failing,
    list_missing,
    list_refused,
    list_refusing,
    list_silent,
    list_stopped,
)

INDEXES = (*EVENT_INDEXES.values(), *RUN_INDEXES.values(), "later", "junk", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    queue: str
    counts: dict[str, int]
    queue_length: int
    workers: int
    receivers: int
    oldest_seconds: float
    memory: float  # share of maxmemory, 0 where there is no limit
    untyped: dict[str, int]  # events without a type, by source, since the ledger began
    sealed: dict[str, int]  # events by the id of the key that sealed them
    shed: dict[str, int]  # bodies and records of finished events that went early, since the ledger began
    heard: dict[str, str]  # when each source's last verified delivery came
    causes: list[Cause]
    refusals: list[Refusals]
    paused: list[Pause]
    stuck: list[Trouble]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def survey(client: Any, keys: Keys) -> Status:
    """client: a blocking one. Raises what Redis raises."""
    with client.pipeline(transaction=False) as pipe:
        for name in INDEXES:
            pipe.zcard(keys.name(name))
        pipe.llen(keys.jobs)
        pipe.info("memory")
        pipe.info("persistence")
        pipe.time()
        *cards, length, memory, persistence, (seconds, micro) = pipe.execute()
    counts, now = dict(zip(INDEXES, cards, strict=True)), seconds + micro / 1e6
    for source in read_table(client, keys.name("keeps")):
        counts["final"] += client.zcard(keys.name(f"final:{source}"))
    recent, counters = read_recent(client, keys, now), read_counters(client, keys)
    heard = read_table(client, keys.name("heard"))
    status = Status(
        queue=keys.queue,
        counts=counts,
        queue_length=length,
        workers=count_alive(client, keys, now, "workers"),
        receivers=count_alive(client, keys, now, "receivers"),
        oldest_seconds=measure_oldest(client, keys, now),
        memory=compute_memory_share(memory),
        untyped=pick(counters, "untyped:"),
        sealed={key: count for key, count in pick(counters, "sealed:").items() if count > 0},
        shed={name: counters.get(f"{name}_shed", 0) for name in ("bodies", "records")},
        heard={source: format_ms(read_number(at)) for source, at in heard.items()},
        causes=list(list_causes(client, keys, now, recent)),
        refusals=list(list_refusals(client, keys, recent)),
        paused=list_pauses(client, keys),
        stuck=[],
    )
    status.stuck.extend(list_refusing(client, keys, now, persistence))
    figures = status.workers, status.oldest_seconds, status.memory
    status.stuck.extend(list_backlogs(client, keys, counts, *figures))
    status.stuck.extend(list_failing(status.causes, read_table(client, keys.name("done_at"))))
    status.stuck.extend(list_missing(recent))
    status.stuck.extend(list_stopped(client, keys))
    status.stuck.extend(list_refused(status.refusals))
    status.stuck.extend(list_silent(client, keys, now, heard))
    return status
