"""Flow control under faults at random: `make flow-soak MINUTES=20 SEED=1`. Prints what each option promises and what was
seen; raw logs stay in a new folder, outside the tree. CONTROL=1 leaves the options out: then the promises must fail.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from .nemesis import Nemesis, sending
from .sender import Provider, Sent, client
from .world import World

KEYS = 10_000  # of ordered
HOT_KEYS = 20  # of them, that get a third of its events
RATES = {"ordered": 50.0, "newest": 15.0, "concurrency": 12.0}  # events a second
PLACES = 2
STARTS_A_MINUTE = 20
BURST = 50  # events of one key that are debounced
QUIET_SECONDS = 2.0
LEASE_SECONDS = 15.0
LEAST_IN_FLIGHT = 2
LEAST_SINGLE = 0.8  # share of bursts with one run: a fault that lasts longer than the quiet time divides a burst
JITTER_SECONDS = 0.3  # between the permission to start and the start
DRAIN_SECONDS = 600.0


@dataclass(slots=True)
class Attempt:
    number: int
    attempt: int
    start: float
    end: float = 0.0  # 0: it failed, was killed, or lost its lease


@dataclass(slots=True)
class Seen:
    """What the handlers noted, and what was accepted: by handler and key."""

    attempts: dict[str, dict[str, list[Attempt]]]
    accepted: dict[str, dict[str, list[tuple[float, int]]]] = field(default_factory=dict)


class Senders:
    def __init__(self, bases: Sequence[str], seed: int) -> None:
        self.chance = random.Random(seed)
        self.sent = Sent()
        self.accepted: dict[str, dict[str, list[tuple[float, int]]]] = defaultdict(lambda: defaultdict(list))
        self.numbers = Counter[tuple[str, str]]()
        self.busy = set[str]()
        self.providers = {
            kind: Provider(bases, self.sent, f"flow.{kind}", try_for=300)
            for kind in ("ordered", "newest", "concurrency", "rate", "debounce")
        }

    async def send_all(self, stop: threading.Event) -> None:
        async with client() as http:

            async def post(kind: str, key: str, number: int) -> None:
                name = await self.providers[kind].send_one(http, {"key": key, "number": number})
                if name in self.sent.acked:
                    self.accepted[kind][key].append((self.sent.acked[name], number))

            await asyncio.gather(
                *(self.stream(stop, kind, rate, post) for kind, rate in RATES.items()),
                self.send_bursts(stop, "debounce", post),
                self.send_rated(stop, post),
            )

    async def stream(self, stop: threading.Event, kind: str, rate: float, post: Any) -> None:
        tasks = set[asyncio.Task[None]]()
        async for _ in tick(stop, rate):
            key = self.choose_key(kind)
            if kind == "ordered":
                if key in self.busy:  # its order is known only once it is accepted
                    continue
                self.busy.add(key)
            task = asyncio.create_task(self.post_next(kind, key, post))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

    async def post_next(self, kind: str, key: str, post: Any) -> None:
        self.numbers[kind, key] += 1
        number = self.numbers[kind, key]
        if kind == "newest":
            number = 10 * number + self.chance.randint(-25, 25)
        await post(kind, key, number)
        self.busy.discard(key)

    def choose_key(self, kind: str) -> str:
        if kind == "ordered":
            return f"o{self.chance.randrange(HOT_KEYS if self.chance.random() < 1 / 3 else KEYS)}"
        return f"{kind}{self.chance.randrange(300 if kind == 'newest' else 2)}"

    async def send_bursts(self, stop: threading.Event, kind: str, post: Any) -> None:
        burst = 0
        async for _ in tick(stop, 1 / 4):
            burst += 1
            for number in range(BURST):
                await post(kind, f"burst{burst}", number)

    async def send_rated(self, stop: threading.Event, post: Any) -> None:
        async for _ in tick(stop, 1 / 40):
            await asyncio.gather(*(self.post_next("rate", f"rate{key}", post) for key in range(4) for _ in range(15)))


async def tick(stop: threading.Event, rate: float) -> AsyncIterator[None]:
    started, number = time.monotonic(), 0
    while not stop.is_set():
        await asyncio.sleep(0.02)
        while number < (time.monotonic() - started) * rate:
            number += 1
            yield


def read_log(log: Path) -> dict[str, dict[str, list[Attempt]]]:
    attempts: dict[str, dict[str, list[Attempt]]] = defaultdict(lambda: defaultdict(list))
    entries = sorted(map(json.loads, log.read_text().splitlines()), key=lambda one: float(one["at"]))
    for one in entries:
        mine = attempts[one["handler"]][one["key"]]
        if one["word"] == "start":
            mine.append(Attempt(one["number"], one["attempt"], one["at"]))
            continue
        open_ones = [
            other for other in mine if (other.number, other.attempt, other.end) == (one["number"], one["attempt"], 0.0)
        ]
        open_ones[-1].end = one["at"]
    return attempts


def find_overlaps(attempts: Sequence[Attempt], places: int) -> int:
    """Attempts that start while so many others go on that came to their end."""
    return sum(sum(other.start < one.start < other.end for other in attempts) >= places for one in attempts)


def find_disorder(attempts: Sequence[Attempt]) -> int:
    return sum(later.number < earlier.number for earlier, later in pairwise(attempts))


def find_stale(attempts: Sequence[Attempt]) -> int:
    """Attempts that start after one of a newer event came to its end."""
    return sum(any(other.number > one.number and 0 < other.end < one.start for other in attempts) for one in attempts)


def find_hasty(attempts: Sequence[Attempt]) -> int:
    starts = sorted({one.number: one.start for one in reversed(attempts)}.values())
    return sum(later - earlier < QUIET_SECONDS - JITTER_SECONDS for earlier, later in pairwise(starts))


def find_most_in_a_minute(attempts: Sequence[Attempt]) -> int:
    starts = [one.start for one in attempts]
    return max((sum(at <= other < at + 60 for other in starts) for at in starts), default=0)


def find_longest_gap(attempts: Sequence[Attempt], accepted: Iterable[tuple[float, int]]) -> float:
    """The longest time in which events waited and nothing of their key ran, in seconds."""
    first = dict[int, float]()
    for one in attempts:
        first.setdefault(one.number, one.start)
    longest, busy_until = 0.0, 0.0
    waiting = sorted((at, first.get(number, at)) for at, number in accepted)
    for one in attempts:
        since = max(busy_until, min((at for at, start in waiting if start >= one.start), default=one.start))
        longest = max(longest, one.start - since)
        busy_until = max(busy_until, one.end or one.start)
    return longest


def describe(seen: Seen, lost: int) -> list[tuple[str, str, bool]]:
    """Rows: the promise, what was seen, whether it holds."""
    attempts = seen.attempts

    def total(kind: str, count: Callable[[Sequence[Attempt]], int]) -> int:
        return sum(count(own) for own in attempts[kind].values())

    def size(kind: str) -> str:
        return f"{sum(map(len, seen.accepted[kind].values()))} events of {len(seen.accepted[kind])} keys"

    overlaps, disorder = total("ordered", lambda own: find_overlaps(own, 1)), total("ordered", find_disorder)
    stale = total("newest", find_stale)
    crowded = total("concurrency", lambda own: find_overlaps(own, PLACES))
    gap = max(find_longest_gap(own, seen.accepted["concurrency"][key]) for key, own in attempts["concurrency"].items())
    most = max(map(find_most_in_a_minute, attempts["rate"].values()))
    bursts = seen.accepted["debounce"]
    whole = {key: own for key, own in bursts.items() if len(own) == BURST}
    without_last = sum(max(n for _, n in own) not in ended(attempts["debounce"][key]) for key, own in whole.items())
    single = sum(len(ended(attempts["debounce"][key])) == 1 for key in whole)
    hasty = total("debounce", find_hasty)
    return [
        (f"ordered: {size('ordered')}; two of one key at once", str(overlaps), overlaps == 0),
        ("ordered: starts against the order", str(disorder), disorder == 0),
        (f"newest: {size('newest')}; an older one after a newer", str(stale), stale == 0),
        (f"concurrency=2: {size('concurrency')}; more than two at once", str(crowded), crowded == 0),
        ("concurrency=2: longest time that events waited and none ran", f"{gap:.1f} s", gap < LEASE_SECONDS + 15),
        (f"rate=20/min: {size('rate')}; most starts in a minute", str(most), most <= STARTS_A_MINUTE + 1),
        (f"debounce: {len(whole)} bursts of {BURST}; without a run of the last event", str(without_last), without_last == 0),
        ("debounce=2: runs that start within 2 s of another one", str(hasty), hasty == 0),
        ("debounce=2: bursts with one run", f"{single} of {len(whole)}", single >= LEAST_SINGLE * len(whole)),
        ("events that were accepted and are not done", str(lost), lost == 0),
    ]  # fmt: skip


def ended(attempts: Sequence[Attempt]) -> set[int]:
    return {one.number for one in attempts if one.end}


def main() -> int:
    minutes, seed = float(os.environ.get("MINUTES") or 20), int(os.environ.get("SEED") or time.time())
    folder = Path(os.environ.get("SOAK_DIR") or tempfile.mkdtemp(prefix="zr-flow-"))
    print(f"seed {seed}, raw logs in {folder}", file=sys.stderr)
    here = World(folder)
    here.env["WORKER_HANDLERS"] = "tests.faults.flow_handlers"
    try:
        nemesis = Nemesis(here, seed, LEAST_IN_FLIGHT)
        senders = Senders(nemesis.bases, seed)
        with sending(senders.send_all):
            nemesis.torment(minutes * 60)
        acked = senders.sent.acked
        deadline = time.monotonic() + DRAIN_SECONDS
        while not (done := here.done()).keys() >= acked.keys() and time.monotonic() < deadline:
            time.sleep(1)
    finally:
        here.end()
    seen = Seen(read_log(here.log), senders.accepted)
    (folder / "soak.json").write_text(json.dumps({"seed": seed, "faults": nemesis.faults, "accepted": seen.accepted}))
    rows = describe(seen, len(acked.keys() - done.keys()))
    for promise, found, holds in rows:
        print(f"| {promise} | {found} | {'holds' if holds else 'FAILS'} |")
    kinds = Counter(str(fault["kind"]) for fault in nemesis.faults)
    print(f"\n{len(nemesis.faults)} faults: {', '.join(f'{count} {kind}' for kind, count in sorted(kinds.items()))}")
    if trace := here.first_traceback():
        print(trace)
    return not all(holds for _, _, holds in rows)


if __name__ == "__main__":
    sys.exit(main())
