"""What needs somebody: since when, why, and what to do."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .connection import decode_text
from .figures import ALIVE_SECONDS, measure_overdue
from .keys import Keys, read_event_id
from .ledger_facts import RECENT_MINUTES, Cause, Refusals, format_ms, pick, read_table
from .records import read_number

SLOW_SECONDS = 60.0  # that an event may wait for its dispatch before status says that workers do not keep up
SHORT_MEMORY_SHARE = 0.85  # of maxmemory: workers hold it at 0.8 while history can go, and 0.9 refuses deliveries
CLOCK_SECONDS = 5.0  # that two clocks may differ
MAX_STOPPED = 1000  # dead letters that are looked at
MIN_FAILURES = 3  # fewer may be chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """count: how many; since: RFC 3339, or "" where nobody knows; do: the advice."""

    what: str
    count: int
    since: str
    do: str


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


def list_backlogs(
    client: Any, keys: Keys, counts: Mapping[str, int], workers: int, oldest_seconds: float, memory: float
) -> Iterator[Trouble]:
    """What a person should look at, worst first."""
    waiting, late = counts["pending"] + counts["queued"], oldest_seconds > SLOW_SECONDS
    rows = [
        (waiting > 0 and not workers, "no worker", waiting, "pending", "start one: zyra-receiver work"),
        (late and workers, "workers do not keep up", waiting, "pending", "more --processes, or another worker"),
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
        (memory > SHORT_MEMORY_SHARE, "Redis is short of memory", 1, "", "raise maxmemory, or shorten KEEP_DONE"),
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
    return format_ms(int(score))


def list_failing(causes: list[Cause], done_at: Mapping[str, str]) -> Iterator[Trouble]:
    """Handlers that fail. done_at: when a run of each was last done, in ms."""
    for handler in dict.fromkeys(cause.handler for cause in causes):
        own = [cause for cause in causes if cause.handler == handler]
        if not (fails_mostly(own) or fails_since(own, format_ms(read_number(done_at.get(handler))))):
            continue
        worst, failed = own[0], sum(cause.failed for cause in own)
        place = f"{worst.kind} at {worst.place}" if worst.place else worst.kind
        yield Trouble(
            what=f"{handler} fails: {failed} of {worst.ended} attempts in {RECENT_MINUTES} min, {place}",
            count=failed or worst.total,
            since=min(cause.first for cause in own),
            do=f"events show {worst.event}; or stop it for now: handlers pause {handler}",
        )


def fails_mostly(causes: list[Cause]) -> bool:
    """Whether at least half of a handler's recent attempts failed."""
    failed = sum(cause.failed for cause in causes)
    return failed >= MIN_FAILURES and 2 * failed >= causes[0].ended


def fails_since(causes: list[Cause], done_at: str) -> bool:
    """Whether failed runs wait for their next attempt, and no run was done after the last failure."""
    is_waiting = any(cause.next_attempt for cause in causes)
    return is_waiting and sum(cause.total for cause in causes) >= MIN_FAILURES and done_at < max(c.last for c in causes)


def list_missing(recent: Mapping[str, int]) -> Iterator[Trouble]:
    """Handlers that runs wait for, and no worker has. A run asks again once a minute."""
    for handler, asked in sorted(pick(recent, "missing:").items()):
        yield Trouble(
            what=f"no worker has the handler {handler}",
            count=asked,
            since="",
            do=f"load its module, or discard its runs: events discard --handler {handler} --reason ...",
        )


def list_stopped(client: Any, keys: Keys) -> Iterator[Trouble]:
    """Ordered handlers some of whose keys a dead letter stops, where `on_dead="stop"` asks for that."""
    stopped = client.zrange(keys.name("stopped"), 0, MAX_STOPPED - 1, withscores=True)
    runs = [decode_text(run) for run, _ in stopped]
    with client.pipeline(transaction=False) as pipe:
        for run in runs:
            pipe.hget(keys.run(run), "handler")
        handlers = pipe.execute(raise_on_error=False)
    by_handler = dict[str, list[int]]()
    for place, name in enumerate(handlers):
        if isinstance(name, bytes | str):  # else its record is none of ours, and stops nothing
            by_handler.setdefault(decode_text(name), []).append(place)
    for handler, places in by_handler.items():
        first = places[0]
        event = read_event_id(runs[first])
        yield Trouble(
            what=f"{handler}: later events of a key wait behind its dead letter",
            count=len(places),
            since=format_ms(int(stopped[first][1])),
            do=f"events show {event}; then events replay {event}, or events discard {event}",
        )


def list_refused(refusals: list[Refusals]) -> Iterator[Trouble]:
    """Sources most of whose deliveries are refused. Anybody may send to a path, so a few refusals are no trouble."""
    for one in refusals:
        if one.source and one.refused >= MIN_FAILURES and one.refused > one.accepted:
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
                since=format_ms(int((now - silent) * 1000)),
                do=f"expect_every is {describe_seconds(every)}: is its endpoint registered?",
            )


def describe_seconds(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
