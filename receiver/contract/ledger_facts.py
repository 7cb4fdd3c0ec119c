"""What happened lately, as the ledger counts it: causes of failures, refused deliveries, paused handlers."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .connection import decode_text
from .keys import Keys, hash_handler, read_event_id
from .logs import format_time
from .records import read_number

RECENT_MINUTES = 5  # over which failures and refusals are counted
NEW_SECONDS = 3600.0  # since a cause was first seen, for which it is marked as new
SHOWN_SECONDS = 3600.0  # since a cause was last seen, for which it is listed


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
                first=format_ms(first),
                last=format_ms(last[one]),
                next_attempt=format_ms(next_at) if next_at > now * 1000 else "",
                event=read_event_id(record.get("run", "")),
                new=first > (now - NEW_SECONDS) * 1000,
            )
        )
    yield from sorted(found, key=lambda cause: (-cause.failed, -cause.total))


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


def list_pauses(client: Any, keys: Keys) -> list[Pause]:
    since = read_table(client, keys.name("pauses"))
    if not since:
        return []
    waiting = Counter(decode_text(run)[31:] for run in client.zrange(keys.name("paused"), 0, -1))
    return [
        Pause(handler=name, since=format_ms(read_number(at)), runs=waiting[hash_handler(name)])
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


def format_ms(moment_ms: int) -> str:
    return format_time(moment_ms / 1000) if 0 < moment_ms < 253_402_300_799_000 else format_time(0)
