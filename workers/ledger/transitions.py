"""The ledger's transitions except `accept`, one Lua script each. Queries are in `query.py`."""

import json
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec
import redis
from redis.exceptions import NoScriptError

from receiver.contract.connection import connect, connect_again, decode_text
from receiver.contract.keys import API_TAG, Keys, hash_handler, read_event_id
from receiver.contract.records import read_labels, read_number
from receiver.contract.scripts import build_arguments
from receiver.contract.seal import Seal
from receiver.contract.settings import Shared

from .composition import compose_transition
from .lane_key import load_lane_key
from .sealed_errors import digest_cause, seal_error
from .units import Claim, Decision, Ended, Outcome, Ticket

LEASE_SECONDS = 15.0  # that a claim holds without renewal
LOST_AFTER_SECONDS = 10.0  # that an entry may be neither in the queue nor claimed
MAX_REDELIVERIES = 50  # of a sweep
MAX_SWEPT = 500  # units of each kind in a sweep
MISSING_HANDLER_SECONDS = 24 * 3600.0  # that a run waits for a worker with its handler
RETRY_LATER_SECONDS = 3 * 86400.0  # that a run may be put off by RetryLater
PARKED_MS = 60_000  # until an event whose key is unknown is looked at again
MAX_HOST_CHARACTERS = 20  # with more, the hash of a run that went well would need three times the memory

pack = msgspec.msgpack.Encoder().encode  # for `cmsgpack.unpack`


@dataclass(frozen=True, slots=True)
class SweepResult:
    expired: int = 0
    due: int = 0
    lost: int = 0
    deleted: int = 0
    now: int = 0  # Redis' time, in ms
    jumped: int = 0  # whether that is not what was expected

    @property
    def full(self) -> bool:
        """Whether there may be more of a kind than one sweep touches."""
        return max(self.expired, self.due, self.lost, self.deleted) >= MAX_SWEPT


class Ledger:
    """Blocking. One instance a process. Raises redis errors; the outcome is then unknown.

    seal: for errors, which may hold parts of a payload. Without one they are not kept.
    """

    def __init__(self, client: redis.Redis, keys: Keys, seal: Seal | None = None, keep_done: float = 86400.0) -> None:
        self.client = client
        self.keys = keys
        self.seal = seal
        self.keep = int(keep_done * 1000)
        self.host = socket.gethostname()[:MAX_HOST_CHARACTERS]
        self._scripts: dict[str, tuple[str, str]] = {}

    @classmethod
    def open(cls, settings: Shared) -> "Ledger":
        """The ledger that these settings name; it connects at the first call."""
        return cls(connect(settings.redis_url, settings.keys.tag), settings.keys, settings.seal, settings.keep_done)

    def open_api_client(self) -> redis.Redis:
        return self.of_api

    @cached_property
    def of_api(self) -> redis.Redis:
        """A client for what all queues share of the API: in cluster mode another node may own it."""
        return connect_again(self.client, API_TAG)

    @cached_property
    def lane_key(self) -> bytes:
        """See `lane_key.py`. Raises SealError, and what Redis raises."""
        assert self.seal, "whoever names lanes has a seal"
        return load_lane_key(self.client, self.keys, self.seal)

    def take(
        self, jobs: Sequence[str], more: int = 0, lease: float = LEASE_SECONDS, *, ordered: bool = True
    ) -> list[Claim]:
        """Claims the units behind these jobs, and of up to `more` that wait in the queue.

        ordered: whether this worker has ordered handlers, so that the claimed events hold up later ones.
        """
        now = time.monotonic()
        return self._read_claims(self.call("take.lua", self.keep, int(lease * 1000), more, int(ordered), *jobs), now)

    def pop(self, seconds: int) -> str | None:
        """The next job, moved to the intermediate list, or None if none comes in time."""
        popped = self.client.blmove(self.keys.jobs, self.keys.intermediate, seconds, "LEFT", "RIGHT")
        return decode_text(popped) if popped else None

    def put_back(self, jobs: Sequence[str]) -> None:
        """Returns jobs that were popped and not claimed to the head of the queue."""
        with self.client.pipeline() as pipe:
            for job in jobs:
                pipe.lrem(self.keys.intermediate, 0, job)
                pipe.lpush(self.keys.jobs, job)
            pipe.execute()

    def finish_dispatches(self, decisions: Sequence[Decision], lease: float = LEASE_SECONDS) -> list[list[str]]:
        """Ends dispatches: for each what became of it, "lost" if fenced off, and the run that is claimed already.

        Such a run has the token 1, and its first attempt is ours.
        """
        answers = self.call("dispatch.lua", self.keep, int(lease * 1000), PARKED_MS, pack(decisions))
        return [[decode_text(value) for value in answer] for answer in answers]

    def find_first_undispatched(self) -> str:
        """The earliest event that was claimed and is not dispatched yet, or ""."""
        first = self.client.zrange(self.keys.name("undispatched"), 0, 0)
        return decode_text(first[0]) if first else ""

    def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
        """Records how attempts ended; "lost" where another owner's outcome counts."""
        packed = pack([self._seal_outcome(outcome) for outcome in outcomes])
        patience = int(MISSING_HANDLER_SECONDS * 1000), int(RETRY_LATER_SECONDS * 1000)
        return [decode_text(answer) for answer in self.call("finish.lua", self.keep, *patience, packed, self.host)]

    def claim_alone(self, unit: str, token: int) -> Claim | None:
        """The claim again, in the process that runs it alone, or None if it is not ours any more.

        From now on the end of its lease counts towards quarantine, whoever notices it.
        """
        now = time.monotonic()
        answer = self.call("alone.lua", unit, token)
        return self._read_claims([answer], now)[0] if answer else None

    def renew(self, tickets: Iterable[Ticket], lease: float = LEASE_SECONDS) -> list[Ticket]:
        """Longer leases; answers the units, with their tokens, that are not ours any more."""
        flat = [value for pair in tickets for value in pair]
        lost = self.call("renew.lua", int(lease * 1000), *flat) if flat else []
        return [(decode_text(lost[i]), int(lost[i + 1])) for i in range(0, len(lost), 2)]

    def sweep(self, *, leases: bool = True, lost_after: float = LOST_AFTER_SECONDS, expected: int = 0) -> SweepResult:
        """leases: whether they may end now. expected: what Redis' clock should say, in ms; if not, none ends either."""
        values = [MAX_SWEPT, int(lost_after * 1000), int(LEASE_SECONDS * 1000), int(leases), expected]
        return SweepResult(*self.call("sweep.lua", self.keep, *values))

    def is_idle(self) -> bool:
        """Whether nothing is queued or claimed."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.llen(self.keys.jobs)
            for name in ("pending", "dispatching", "queued", "running"):
                pipe.zcard(self.keys.name(name))
            return not any(pipe.execute())

    def make_room(self, keep_seconds: float = 0.0, most: int = MAX_SWEPT) -> tuple[int, int]:
        """Drops bodies of finished events, oldest first, then their records: how many of each.

        keep_seconds: that a finished event stays, whatever the need.
        """
        bodies, records = self.call("shed.lua", self.keep, most, int(keep_seconds * 1000))
        return bodies, records

    def purge(self, older_seconds: float, *, dry_run: bool = False, most: int = MAX_SWEPT) -> int:
        """Deletes events that finished so long ago, at most `most`: how many. In a dry run how many there are."""
        return int(self.call("purge.lua", self.keep, most, int(older_seconds * 1000), int(dry_run)))

    def erase(self, event: str, *, dry_run: bool = False) -> str:
        """Deletes an event and whatever is kept of it but its marks: what was done, in words."""
        return decode_text(self.call("erase.lua", self.keep, event, int(dry_run)))

    def pause(self, handler: str, reason: str = "") -> bool:
        """Makes the handler's queued runs wait, in all workers. False if it is paused already."""
        return bool(self.call("pause.lua", self.keep, handler, self._make_audit_entry("pause", handler, reason)))

    def resume(self, handler: str, reason: str = "") -> int | None:
        """Ends a pause: how many runs are queued again, or None where the handler was not paused."""
        audit = self._make_audit_entry("resume", handler, reason)
        total, was = 0, False
        while True:
            paused, queued = self.call("resume.lua", self.keep, handler, hash_handler(handler), MAX_SWEPT, audit)
            total, was = total + queued, was or bool(paused)
            if queued < MAX_SWEPT:
                return total if was or total else None

    def replay(
        self,
        event: str,
        *,
        again: bool = False,
        dry_run: bool = False,
        reason: str = "",
        keep_calls: bool = False,
        unanswered: Mapping[str, bytes] | None = None,
    ) -> tuple[str, int]:
        """What was done with the event, in words, and how many runs were queued (0: nothing).

        keep_calls: whether calls to the API that an earlier attempt has made are not made again. unanswered: by run,
        what a person said of those without an answer, as `journal.seal_word` makes it; else they are looked up.
        """
        audit = self._make_audit_entry("replay", event, reason)
        words = [value for pair in (unanswered or {}).items() for value in pair]
        flags = (int(again), int(dry_run), audit, int(keep_calls), *words)
        outcome, queued = self.call("replay.lua", self.keep, event, *flags)
        return decode_text(outcome), queued

    def list_redeliveries(self) -> list[str]:
        """Events that a redelivery wants replayed, the oldest wish first."""
        return [decode_text(event) for event in self.client.zrange(self.keys.name("wanted"), 0, MAX_REDELIVERIES - 1)]

    def forget_redelivery(self, event: str) -> None:
        self.client.zrem(self.keys.name("wanted"), event)

    def discard(self, event: str, *, reason: str, dry_run: bool = False, handler: str = "") -> tuple[str, int]:
        """What was done with the event, in words, and how many runs were given up. handler: whose runs; "" for all."""
        audit = self._make_audit_entry("discard", event, reason)
        suffix = hash_handler(handler) if handler else ""
        outcome, dropped = self.call("discard.lua", self.keep, event, int(dry_run), reason, audit, suffix)
        return decode_text(outcome), dropped

    def take_place(self, lane: str, places: int, run: str) -> bool:
        """Whether the run has one of the lane's places among all workers. lane: a handler, or one key of it."""
        return bool(self.call("slot.lua", lane, places, run))

    def join_lane(self, ticket: Ticket, lane: str, holds: bool) -> None:
        """Makes a run that is ours the last one of its lane, which its dispatch did not know. holds: see `NewRun`."""
        self.call("join_lane.lua", *ticket, lane, int(holds))

    def is_stale(self, lane: str, age: float) -> bool:
        """Whether a newer event of the lane is done."""
        newest = self.client.get(self.keys.name(f"newest:{lane}"))
        try:
            return newest is not None and float(newest) > age
        except ValueError:  # none of ours
            return False

    def plan_start(self, lane: str, most: int, seconds: float, attempt: str) -> float:
        """Seconds until an attempt may start (0: now): at most `most` of a lane start in any `seconds`."""
        return int(self.call("rate.lua", lane, most, int(seconds * 1000), attempt)) / 1000

    def settle_debounce(self, lane: str, run: str, quiet: float, longest: float, newest: bool) -> tuple[float, str]:
        """Seconds until the run may start (0: now), or the run that starts instead.

        quiet: seconds without another run of the lane. longest: the longest wait, in seconds.
        newest: whether the run of the newest event starts.
        """
        milliseconds = int(quiet * 1000), int(longest * 1000)
        answer = decode_text(self.call("debounce.lua", lane, run, *milliseconds, int(newest)))
        return (0.0, answer) if answer.startswith("evt_") else (int(answer) / 1000, "")

    def allow(self, key: str, times: int, seconds: float, who: str = "") -> bool:
        """Whether this may happen once more: at most `times` in any `seconds`, counted over all workers.

        who: whoever was counted within these seconds may again, and is not counted a second time.
        """
        return bool(self.call("allow.lua", key, times, int(seconds * 1000), who or secrets.token_hex(8)))

    def _read_claims(self, answers: Sequence[Any], now: float) -> list[Claim]:
        units = [decode_text(answer[0]) for answer in answers]
        bodies = self.client.mget([self.keys.body(read_event_id(unit)) for unit in units]) if units else []
        return [
            make_claim(unit, read_pairs(event), read_pairs(run), body if isinstance(body, bytes) else b"", now)
            for unit, (_, event, run), body in zip(units, answers, bodies, strict=True)
        ]

    def _seal_outcome(self, one: Outcome) -> Ended:
        """The outcome as it is written: its error sealed, its cause known by digests under a key."""
        sealed = seal_error(self.seal, one) if one.error and self.seal else ""
        cause = digest_cause(self.seal, one.cause) if one.cause and self.seal else None
        return Ended(
            unit=one.unit, token=one.token, verdict=one.verdict, delay=one.delay, error=sealed, ms=one.ms,
            tallies=one.tallies, cause=cause, slot=one.slot, places=one.places, age=one.age,
        )  # fmt: skip

    def _make_audit_entry(self, action: str, name: str, reason: str) -> str:
        """name: of an event or a handler."""
        return json.dumps({"at": int(time.time()), "action": action, "event": name, "reason": reason})

    def call(self, name: str, *values: str | bytes | int | float) -> Any:
        sha, script = self._load_script(name)
        flat = build_arguments(self.keys, *values)
        try:
            return self.client.evalsha(sha, *flat)
        except NoScriptError:  # a restarted Redis: nothing was executed
            self.client.script_load(script)
            return self.client.evalsha(sha, *flat)

    def _load_script(self, name: str) -> tuple[str, str]:
        if name not in self._scripts:
            script = compose_transition(name)
            self._scripts[name] = (str(self.client.script_load(script)), script)
        return self._scripts[name]


def make_claim(unit: str, event: dict[str, str], run: dict[str, str], sealed: bytes, now: float) -> Claim:
    """event, run: what their hashes hold; run is empty where the unit is a dispatch."""
    own = run or event
    return Claim(
        unit=unit,
        token=read_number(own.get("token")),
        key=event.get("key", ""),
        sealed=sealed,
        labels=read_labels(read_event_id(unit), event),
        handler=run.get("handler", "?") if run else "",
        attempt=read_number(run.get("attempts")),
        failures=read_number(run.get("failures")),
        deaths=read_number(own.get("deaths")),
        suspect=own.get("suspect") == "1",
        lane=run.get("lane", ""),
        is_replay=read_number(event.get("replays")) > 0 or read_number(run.get("replays")) > 0,
        claimed_at=now,
    )


def read_pairs(flat: Any) -> dict[str, str]:
    """A hash as Redis answers it, in RESP2 or RESP3."""
    if isinstance(flat, dict):
        return {decode_text(name): decode_text(value) for name, value in flat.items()}
    return {decode_text(flat[i]): decode_text(flat[i + 1]) for i in range(0, len(flat), 2)}
