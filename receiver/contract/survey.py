"""One look at the ledger for people: what flows, what is stuck, since when, why, and what to do."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .connection import compute_memory_share, decode_text
from .figures import (
    ALIVE_SECONDS,
    EVENT_INDEXES,
    RUN_INDEXES,
    count_alive,
    measure_oldest,
    measure_overdue,
    read_counters,
)
from .keys import Keys, hash_handler, read_event_id
from .logs import format_time
from .records import read_number

SLOW_SECONDS = 60.0  # that an event may wait for its dispatch before status says that workers do not keep up
SHORT_SHARE = 0.85  # of maxmemory: workers hold it at 0.8 while history can go, and 0.9 refuses deliveries
RECENT_MINUTES = 5  # over which failures and refusals are counted
NEW_SECONDS = 3600.0  # since a cause was first seen, for which it is marked as new
SHOWN_SECONDS = 3600.0  # since a cause was last seen, for which it is listed
CLOCK_SECONDS = 5.0  # that two clocks may differ
FEW = 3  # failures that may be chance
INDEXES = (*EVENT_INDEXES.values(), *RUN_INDEXES.values(), "later", "junk", "final")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """count: how many; since: RFC 3339, or "" where nobody knows; do: the advice."""

    what: str
    count: int
    since: str
    do: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why attempts of a handler fail. Times are RFC 3339, or ""."""

    handler: str
    kind: str  # the exception's class
    place: str  # file and line
    failed: int  # attempts, in RECENT_MINUTES
    ended: int  # attempts of the handler, whatever their cause
    total: int
    first: str
    last: str
    next_attempt: str
    event: str  # the last one that failed so
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Refused deliveries of a source, in RECENT_MINUTES. reason: the likely one, of the newest."""

    source: str
    cause: str
    refused: int
    accepted: int
    reason: str

    @property
    def share(self) -> str:
        return f"{self.refused} of {self.refused + self.accepted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    handler: str
    since: str
    runs: int


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
        heard={source: tell(read_number(at)) for source, at in heard.items()},
        causes=list(list_causes(client, keys, now, recent)),
        refusals=list(list_refusals(client, keys, recent)),
        paused=list_pauses(client, keys),
        stuck=[],
    )
    status.stuck.extend(list_refusing(client, keys, now, persistence))
    status.stuck.extend(list_troubles(client, keys, status))
    status.stuck.extend(list_failing(status.causes, read_table(client, keys.name("done_at"))))
    status.stuck.extend(list_missing(recent))
    status.stuck.extend(list_refused(status.refusals))
    status.stuck.extend(list_silent(client, keys, now, heard))
    return status


def list_refusing(client: Any, keys: Keys, now: float, persistence: Mapping[str, Any]) -> Iterator[Trouble]:
    """Why deliveries get 503, and what makes signed times wrong."""
    if persistence.get("aof_last_write_status", "ok") != "ok":
        what, advice = "Redis cannot write to its disk: deliveries get 503", "is the disk full? see its log"
        yield Trouble(what=what, count=1, since="", do=advice)
    since = int((now - ALIVE_SECONDS) * 1000)
    alive = {decode_text(name) for name in client.zrangebyscore(keys.name("receivers"), since, "+inf")}
    if not alive and client.zcard(keys.name("receivers")):
        advice = "start one: zyra-receiver serve"
        yield Trouble(what="no receiver", count=1, since=find_since(client, keys, "receivers"), do=advice)
    reasons = Counter(why for name, why in read_table(client, keys.name("refusing")).items() if name in alive)
    for reason, count in reasons.items():
        what = f"{count} receivers answer 503: {reason}"
        yield Trouble(what=what, count=count, since="", do="see /healthz and their log")
    if abs(difference := time.time() - now) > CLOCK_SECONDS:
        yield Trouble(
            what=f"the clock of this machine differs from that of Redis by {difference:.0f} s",
            count=1,
            since="",
            do="synchronize the clocks (NTP): signed times are judged by the receiver's, leases by that of Redis",
        )


def list_troubles(client: Any, keys: Keys, status: Status) -> Iterator[Trouble]:
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
        (counts["junk"], "records set aside", counts["junk"], "junk", f"see the index {keys.name('junk')}"),
        (status.memory > SHORT_SHARE, "Redis is short of memory", 1, "", "raise maxmemory, or shorten KEEP_DONE"),
    ]
    for wrong, what, count, index, advice in rows:
        if wrong:
            yield Trouble(what=what, count=int(count), since=find_since(client, keys, index), do=advice)


def find_since(client: Any, keys: Keys, index: str) -> str:
    """When the first entry of an index was added, or in an index that is in another order, its event received."""
    first: Any = client.zrange(keys.name(index), 0, 0, withscores=True) if index else []
    if not first:
        return ""
    name, score = first[0]
    if index in ("pending", "parked", "later"):
        event = read_event_id(decode_text(name))
        score = read_number(client.hget(keys.event(event), "received_at"))
    return tell(int(score))


def list_causes(client: Any, keys: Keys, now: float, recent: Mapping[str, int]) -> Iterator[Cause]:
    """Why attempts failed lately, the most frequent cause first."""
    since = int((now - SHOWN_SECONDS) * 1000)
    seen = client.zrange(keys.name("causes"), 0, -1, withscores=True)
    last = {decode_text(one): int(at) for one, at in seen}
    found = []
    for one, record in zip(last, read_tables(client, [keys.name(f"cause:{one}") for one in last]), strict=True):
        next_at = read_number(record.get("next_at"))
        if not record or (last[one] < since and next_at < now * 1000):
            continue
        handler, first = record.get("handler", ""), read_number(record.get("first"))
        found.append(
            Cause(
                handler=handler,
                kind=record.get("kind", ""),
                place=record.get("place", ""),
                failed=recent.get(f"cause:{one}", 0),
                ended=sum(recent.get(f"{verdict}:{handler}", 0) for verdict in ("done", "failed", "dead", "died")),
                total=read_number(record.get("count")),
                first=tell(first),
                last=tell(last[one]),
                next_attempt=tell(next_at) if next_at > now * 1000 else "",
                event=read_event_id(record.get("run", "")),
                new=first > (now - NEW_SECONDS) * 1000,
            )
        )
    yield from sorted(found, key=lambda cause: (-cause.failed, -cause.total))


def list_failing(causes: list[Cause], done_at: Mapping[str, str]) -> Iterator[Trouble]:
    """Handlers most of whose attempts fail, or that have runs to attempt again and did nothing well since.

    done_at: when a run of each was last done, in ms.
    """
    for handler in dict.fromkeys(cause.handler for cause in causes):
        own = [cause for cause in causes if cause.handler == handler]
        failed, ended = sum(cause.failed for cause in own), own[0].ended
        waits = any(cause.next_attempt for cause in own)
        waits = waits and tell(read_number(done_at.get(handler))) < max(cause.last for cause in own)
        if not (failed >= FEW and 2 * failed >= ended) and not (waits and sum(cause.total for cause in own) >= FEW):
            continue
        worst = own[0]
        place = f"{worst.kind} at {worst.place}" if worst.place else worst.kind
        yield Trouble(
            what=f"{handler} fails: {failed} of {ended} attempts in {RECENT_MINUTES} min, {place}",
            count=failed or worst.total,
            since=min(cause.first for cause in own),
            do=f"events show {worst.event}; or stop it for now: handlers pause {handler}",
        )


def list_missing(recent: Mapping[str, int]) -> Iterator[Trouble]:
    """Handlers that runs wait for, and no worker has. A run asks again once a minute."""
    for handler, asked in sorted(pick(recent, "missing:").items()):
        yield Trouble(
            what=f"no worker has the handler {handler}",
            count=asked,
            since="",
            do="start a worker with its module in WORKER_HANDLERS; after a day its runs are dead letters",
        )


def list_refusals(client: Any, keys: Keys, recent: Mapping[str, int]) -> Iterator[Refusals]:
    """Refused deliveries by source and cause, the most frequent first."""
    for name, refused in sorted(pick(recent, "refused:").items(), key=lambda pair: -pair[1]):
        source, _, cause = name.partition(":")
        newest = client.lindex(keys.name(f"refusals:{source}"), 0) if source else None
        yield Refusals(
            source=source,
            cause=cause,
            refused=refused,
            accepted=recent.get(f"accepted:{source}", 0),
            reason=read_reason(newest, cause),
        )


def read_reason(refusal: object, cause: str) -> str:
    try:
        entry = json.loads(decode_text(refusal))
        return str(entry["reason"]) if entry["cause"] == cause else ""
    except (ValueError, TypeError, KeyError):
        return ""


def list_refused(refusals: list[Refusals]) -> Iterator[Trouble]:
    """Sources most of whose deliveries are refused. Anybody may send to a path, so a few refusals are no trouble."""
    for one in refusals:
        if one.source and one.refused >= FEW and one.refused > one.accepted:
            yield Trouble(
                what=f"source {one.source}: {one.share} deliveries refused in {RECENT_MINUTES} min, {one.cause}",
                count=one.refused,
                since="",
                do=one.reason or f"events explain --source {one.source}",
            )


def list_silent(client: Any, keys: Keys, now: float, heard: Mapping[str, str]) -> Iterator[Trouble]:
    """Sources that are silent for longer than their `expect_every`."""
    expected = read_table(client, keys.name("expected"))
    for source, overdue in measure_overdue(client, keys, now).items():
        every = read_number(expected.get(source, "").split(" ")[0]) / 1000
        if overdue:
            silent = overdue + every
            never = "" if source in heard else ", ever"
            yield Trouble(
                what=f"source {source}: no delivery for {describe_seconds(silent)}{never}",
                count=1,
                since=tell(int((now - silent) * 1000)),
                do=f"expect_every is {describe_seconds(every)}: is its endpoint registered?",
            )


def list_pauses(client: Any, keys: Keys) -> list[Pause]:
    since = read_table(client, keys.name("pauses"))
    if not since:
        return []
    waiting = Counter(decode_text(run)[31:] for run in client.zrange(keys.name("paused"), 0, -1))
    return [
        Pause(handler=name, since=tell(read_number(at)), runs=waiting[hash_handler(name)])
        for name, at in sorted(since.items())
    ]


def read_recent(client: Any, keys: Keys, now: float) -> dict[str, int]:
    """What was counted in the last minutes, the present one included."""
    minute = int(now // 60)
    names = [keys.name(f"recent:{minute - ago}") for ago in range(RECENT_MINUTES)]
    total = Counter[str]()
    for table in read_tables(client, names):
        total.update({name: read_number(count) for name, count in table.items()})
    return dict(total)


def read_tables(client: Any, names: list[str]) -> list[dict[str, str]]:
    """What these hashes hold; nothing where a key holds something else, which is none of ours."""
    with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.hgetall(name)
        tables = pipe.execute(raise_on_error=False) if names else []
    return [
        {decode_text(name): decode_text(value) for name, value in one.items()} if isinstance(one, dict) else {}
        for one in tables
    ]


def read_table(client: Any, name: str) -> dict[str, str]:
    return read_tables(client, [name])[0]


def pick(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """What begins so, without that beginning."""
    return {name.removeprefix(prefix): count for name, count in counts.items() if name.startswith(prefix)}


def tell(moment_ms: int) -> str:
    return format_time(moment_ms / 1000) if 0 < moment_ms < 253_402_300_799_000 else format_time(0)


def describe_seconds(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
