"""The ledger: every transition but accept, each one script. Reads for people are in `query.py`."""

import json
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import redis
from redis.exceptions import NoScriptError

from receiver.contract.connection import text
from receiver.contract.keys import Keys, event_of, is_run, run_id
from receiver.contract.records import EventState, Labels
from receiver.contract.scripts import arguments, source

LEASE = 15.0  # seconds a claim holds without renewal
LOST_AFTER = 10.0  # seconds an entry may be neither in the queue nor claimed
MOST = 500  # units one sweep touches of each kind
HANDLER_PATIENCE = 24 * 3600.0  # seconds a run waits for a worker that has its handler
LATER_PATIENCE = 3 * 86400.0  # seconds a run may put itself off by RetryLater
ERROR = 500  # characters of an error that are kept


Ticket = tuple[str, int]  # a unit, and the token under which it was claimed


class Verdict(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    FAILED = "failed"  # an ordinary failure: again after a while
    LATER = "later"  # RetryLater: again at a time, costs no budget
    DEAD = "dead"  # GiveUp, or the budget is spent
    REFUSED = "refused"  # the handler does not match the event, or the seal does not open
    MISSING = "missing"  # this worker does not have the handler
    BUSY = "busy"  # the handler's places are all taken
    HANDED = "handed"  # given back: not started, or stopped for no fault of its own
    DIED = "died"  # its process died while it ran alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A unit of work that is ours until its lease ends: a dispatch where handler is "", else an attempt of a run."""

    unit: str
    token: int
    job: str
    key: str  # id of the key that sealed the event
    sealed: bytes = field(repr=False)
    labels: Labels
    handler: str = ""
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    suspect: bool = False
    is_replay: bool = False
    claimed_at: float = 0.0  # on this machine's monotonic clock, before the claim was sent

    @property
    def event(self) -> str:
        return event_of(self.unit)

    @property
    def ticket(self) -> Ticket:
        return self.unit, self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    unit: str
    token: int
    verdict: Verdict
    delay: float = 0.0  # seconds until the next attempt
    error: str = ""

    @property
    def ticket(self) -> Ticket:
        return self.unit, self.token

    def flat(self) -> list[str | bytes | int]:
        patience = HANDLER_PATIENCE if self.verdict is Verdict.MISSING else LATER_PATIENCE
        error = self.error[:ERROR].encode("utf-8", "replace")  # half a surrogate pair is no UTF-8
        return [self.unit, self.token, self.verdict, int(self.delay * 1000), error, int(patience * 1000)]


@dataclass(frozen=True, slots=True)
class Swept:
    expired: int = 0
    due: int = 0
    lost: int = 0
    deleted: int = 0
    now: int = 0  # Redis' time, in ms
    jumped: int = 0  # whether that is not what was expected


class Ledger:
    """Blocking; a client per process. Raises redis errors where Redis does not answer: the outcome is then unknown."""

    def __init__(self, client: redis.Redis, keys: Keys, keep_done: float = 86400.0) -> None:
        self.client = client
        self.keys = keys
        self.keep = int(keep_done * 1000)
        self._scripts: dict[str, tuple[str, str]] = {}

    def take(self, jobs: Sequence[str], more: int = 0, lease: float = LEASE) -> list[Claim]:
        """Claims the units behind these jobs, and of up to `more` that wait in the queue."""
        now = time.monotonic()
        answers = self._call("take.lua", self.keep, int(lease * 1000), more, *jobs)
        return [claim(answer, now) for answer in answers if answer[0] == b"claimed"]

    def put_back(self, jobs: Sequence[str]) -> None:
        """Returns jobs that were popped and not claimed to the head of the queue."""
        with self.client.pipeline() as pipe:
            for job in jobs:
                pipe.lrem(self.keys.intermediate, 0, job)
                pipe.lpush(self.keys.jobs, job)
            pipe.execute()

    def dispatched(self, one: Claim, verdict: EventState | str, cause: str = "", handlers: Sequence[str] = ()) -> str:
        """Ends a dispatch: one run for each handler, or the reason why there is none. Answers "lost" if fenced off."""
        pairs = [part for name in handlers for part in (run_id(one.unit, name)[31:], name)]
        return text(self._call("dispatch.lua", self.keep, one.unit, one.token, verdict, cause, 60_000, *pairs))

    def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Records how attempts ended; "lost" where another owner's outcome counts."""
        flat = [value for outcome in outcomes for value in outcome.flat()]
        return [text(answer) for answer in self._call("finish.lua", self.keep, *flat)]

    def alone(self, unit: str, token: int) -> Claim | None:
        """The claim again, in the process that runs it alone, or None if it is not ours any more.

        From now on the end of its lease counts towards quarantine, whoever notices it.
        """
        now = time.monotonic()
        answer = self._call("alone.lua", unit, token)
        return claim(answer, now) if answer else None

    def renew(self, held: Iterable[Ticket], lease: float = LEASE) -> list[Ticket]:
        """Longer leases; answers the units, with their tokens, that are not ours any more."""
        flat = [value for pair in held for value in pair]
        lost = self._call("renew.lua", int(lease * 1000), *flat) if flat else []
        return [(text(lost[i]), int(lost[i + 1])) for i in range(0, len(lost), 2)]

    def sweep(self, *, leases: bool = True, lost_after: float = LOST_AFTER, expected: int = 0) -> Swept:
        """leases: whether they may end now. expected: what Redis' clock should say, in ms; if not, none ends either."""
        values = [MOST, int(lost_after * 1000), int(LEASE * 1000), int(leases), expected]
        return Swept(*self._call("sweep.lua", self.keep, *values))

    def idle(self) -> bool:
        """Whether nothing is queued or claimed."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.llen(self.keys.jobs)
            for name in ("pending", "dispatching", "queued", "running"):
                pipe.zcard(self.keys.named(name))
            return not any(pipe.execute())

    def shed(self, most: int = MOST) -> int:
        return int(self._call("shed.lua", most))

    def replay(self, event: str, *, again: bool = False, dry_run: bool = False, reason: str = "") -> tuple[str, int]:
        """What was done with the event, in words, and how many runs were queued (0: nothing)."""
        audit = self._audit("replay", event, reason)
        said, queued = self._call("replay.lua", self.keep, event, int(again), int(dry_run), audit)
        return text(said), queued

    def discard(self, event: str, *, reason: str, dry_run: bool = False) -> tuple[str, int]:
        audit = self._audit("discard", event, reason)
        said, dropped = self._call("discard.lua", self.keep, event, int(dry_run), reason, audit)
        return text(said), dropped

    def slot(self, handler: str, places: int, run: str) -> bool:
        """Whether the run has one of the handler's places among all workers."""
        return bool(self._call("slot.lua", handler, places, run))

    def allow(self, key: str, times: int, seconds: float) -> bool:
        """Whether this may happen once more: at most `times` in any `seconds`, counted over all workers."""
        return bool(self._call("allow.lua", key, times, int(seconds * 1000), secrets.token_hex(8)))

    def _audit(self, action: str, event: str, reason: str) -> str:
        return json.dumps({"at": int(time.time()), "action": action, "event": event, "reason": reason})

    def _call(self, name: str, *values: str | bytes | int | float) -> Any:
        sha, script = self._script(name)
        flat = arguments(self.keys, *values)
        try:
            return self.client.evalsha(sha, 0, *flat)
        except NoScriptError:  # a restarted Redis: nothing was executed
            self.client.script_load(script)
            return self.client.evalsha(sha, 0, *flat)

    def _script(self, name: str) -> tuple[str, str]:
        if name not in self._scripts:
            script = compose(name)
            self._scripts[name] = (str(self.client.script_load(script)), script)
        return self._scripts[name]


CLOSING = {"take.lua", "dispatch.lua", "finish.lua", "sweep.lua", "replay.lua", "discard.lua"}  # they can end an event
GROWING = {"replay.lua", "allow.lua"}  # all others help work to its end, which is what frees memory


def compose(name: str) -> str:
    parts = ["close.lua", name] if name in CLOSING else [name]
    return source("workers.scripts", *parts, allow_oom=name not in GROWING, heals=name == "sweep.lua")


def claim(answer: Sequence[Any], now: float) -> Claim:
    _, job, unit, token, sealed, event, run = answer
    told, mine = pairs(event), pairs(run)
    return Claim(
        unit=text(unit),
        token=token,
        job=text(job),
        key=told.get("key", ""),
        sealed=sealed,
        labels=labels(event_of(text(unit)), told),
        handler=mine.get("handler", "?") if is_run(text(unit)) else "",
        attempt=whole(mine, "attempts"),
        failures=whole(mine, "failures"),
        deaths=whole(mine if mine else told, "deaths"),
        suspect=(mine if mine else told).get("suspect") == "1",
        is_replay=whole(mine if mine else told, "replays") > 0,
        claimed_at=now,
    )


def pairs(flat: Any) -> dict[str, str]:
    """A hash as Redis answers it, in RESP2 or RESP3."""
    if isinstance(flat, dict):
        return {text(name): text(value) for name, value in flat.items()}
    return {text(flat[i]): text(flat[i + 1]) for i in range(0, len(flat), 2)}


def labels(event: str, told: dict[str, str]) -> Labels:
    return Labels(
        id=event,
        source=told.get("source", ""),
        type=told.get("type", ""),
        received_at=whole(told, "received_at"),
        delivery_id=told.get("delivery_id", ""),
        origin=told.get("origin", ""),
    )


def whole(told: dict[str, str], name: str) -> int:
    value = told.get(name, "")
    return int(value) if value.isdecimal() and len(value) < 16 else 0
