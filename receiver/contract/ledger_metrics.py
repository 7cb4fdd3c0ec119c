"""The ledger as Prometheus text. Receivers and workers of a queue show the same numbers: take the max over instances.

Receivers show them too, because dead workers show nothing.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from importlib import metadata
from typing import Any, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .connection import FAULTS
from .figures import (
    ALIVE_SECONDS,
    EVENT_INDEXES,
    RUN_INDEXES,
    count_alive,
    measure_oldest,
    measure_overdue,
    read_counters,
)
from .keys import Keys

MAX_HANDLERS = 200  # that have series of their own
RATE_SECONDS = 15.0  # over which the rate of ended runs is measured, at least
FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}


class Description(NamedTuple):
    """Of a metric. kind: gauge, counter or histogram."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str

    @property
    def sample(self) -> str:
        """Its name in a query."""
        return self.name + {"counter": "_total", "histogram": "_bucket"}.get(self.kind, "")


DESCRIPTIONS = {
    one.name: one
    for one in (
        Description("zr_ledger_up", "gauge", (), "1 if Redis answered this scrape"),
        Description("zr_build_info", "gauge", ("version", "role"), "1, with the version of this process"),
        Description("zr_events", "gauge", ("state",), "Events that are not final, by state"),
        Description("zr_runs", "gauge", ("state",), "Runs that are not final, by state"),
        Description("zr_queue_length", "gauge", (), "Entries in RQ's list"),
        Description("zr_oldest_seconds", "gauge", (), "Age of the oldest event that is not dispatched"),
        Description("zr_workers", "gauge", (), f"Workers with a sign of life in the last {ALIVE_SECONDS:.0f} s"),
        Description("zr_backlog_seconds", "gauge", (), "Until the backlog is done at the present rate"),
        Description("zr_clock_difference_seconds", "gauge", (), "This machine's clock minus that of Redis"),
        Description(
            "zr_source_overdue_seconds", "gauge", ("source",), "How much longer than `expect_every` it was silent, or 0"
        ),
        Description("zr_later", "gauge", (), "Units that a later release wrote"),
        Description("zr_junk", "gauge", (), "Keys that hold foreign data"),
        Description("zr_attempts", "counter", ("outcome",), "Attempts that ended"),
        Description("zr_events_ended", "counter", ("state",), "Events that ended"),
        Description("zr_ledger", "counter", ("what",), "Recoveries, overlaps, refused jobs and the like"),
        Description("zr_handler_attempts", "counter", ("handler", "outcome"), "Attempts that ended, by handler"),
        Description("zr_handler_seconds", "histogram", ("handler",), "Duration of attempts"),
        Description(
            "zr_start_seconds", "histogram", ("handler",), "From an event's acceptance to a run's first attempt"
        ),
        Description(
            "zr_end_seconds", "histogram", ("handler",), "From an event's acceptance to the end of a run, if done"
        ),
    )
}
HISTOGRAMS = {  # by the first word of their counters
    "seconds": "zr_handler_seconds",
    "start": "zr_start_seconds",
    "end": "zr_end_seconds",
}


def make_family(name: str) -> Any:
    one = DESCRIPTIONS[name]
    return FAMILIES[one.kind](one.name, one.text, labels=one.labels)


class LedgerCollector(Collector):
    """client: a blocking one. role: receiver or worker, for zr_build_info."""

    def __init__(self, client: Any, keys: Keys, role: str) -> None:
        self._client = client
        self._keys = keys
        self._role = role
        self._ended: list[tuple[float, int]] = []  # monotonic time, and how many attempts had ended then

    def collect(self) -> Iterator[Metric]:
        up, build = make_family("zr_ledger_up"), make_family("zr_build_info")
        build.add_metric([metadata.version("zyra-receiver"), self._role], 1)
        try:
            families = list(self._read())
        except FAULTS:  # it does not answer, or refuses
            families = []
        up.add_metric([], 1 if families else 0)
        yield from (build, *families, up)

    def _read(self) -> Iterator[Metric]:
        client, keys = self._client, self._keys
        seconds, micro = client.time()
        now, counts = seconds + micro / 1e6, dict[str, int]()
        for name, states in {"zr_events": EVENT_INDEXES, "zr_runs": RUN_INDEXES}.items():
            family = make_family(name)
            for state, index in states.items():
                counts[state] = client.zcard(keys.name(index))
                family.add_metric([state], counts[state])
            yield family
        oldest, counters = measure_oldest(client, keys, now), read_counters(client, keys)
        backlog = counts["accepted"] + counts["dispatching"] + counts["queued"]
        gauges = {
            "zr_queue_length": client.llen(keys.jobs),
            "zr_oldest_seconds": oldest,
            "zr_workers": count_alive(client, keys, now, "workers"),
            "zr_backlog_seconds": self._compute_drain(backlog, counters, oldest),
            "zr_clock_difference_seconds": time.time() - now,
            "zr_later": client.zcard(keys.name("later")),
            "zr_junk": client.zcard(keys.name("junk")),
        }
        for name, value in gauges.items():
            family = make_family(name)
            family.add_metric([], value)
            yield family
        overdue = make_family("zr_source_overdue_seconds")
        for source, seconds in measure_overdue(client, keys, now).items():
            overdue.add_metric([source], seconds)
        yield overdue
        yield from read_totals(counters)
        yield from read_handlers(counters)

    def _compute_drain(self, backlog: int, counters: dict[str, int], oldest: float) -> float:
        """Seconds until the backlog is done; while nothing ends, the age of the oldest event."""
        now = time.monotonic()
        ended = sum(count for name, count in counters.items() if name.startswith("attempts_"))
        self._ended.append((now, ended))
        while len(self._ended) > 2 and self._ended[1][0] <= now - RATE_SECONDS:
            del self._ended[0]
        then, before = self._ended[0]
        rate = max(0, ended - before) / (now - then) if now > then else 0.0
        return backlog / rate if rate else oldest if backlog else 0.0


def read_totals(counters: dict[str, int]) -> Iterator[Metric]:
    attempts, events, other = map(make_family, ("zr_attempts", "zr_events_ended", "zr_ledger"))
    for name, count in counters.items():
        kind, _, rest = name.partition("_")
        if ":" in name:  # by source or handler: receivers have zr_untyped_total
            continue
        if kind in ("attempts", "events"):
            (attempts if kind == "attempts" else events).add_metric([rest], count)
        else:
            other.add_metric([name], count)
    yield from (attempts, events, other)


def read_handlers(counters: dict[str, int]) -> Iterator[Metric]:
    """What is counted by handler: handler:OUTCOME:NAME, and for histograms WORD:BOUND:NAME and WORD:ms:NAME."""
    attempts, known = make_family("zr_handler_attempts"), set[str]()
    histograms: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for name, count in counters.items():
        word, _, rest = name.partition(":")
        label, _, handler = rest.partition(":")
        if word != "handler" and word not in HISTOGRAMS:
            continue
        if handler not in known and len(known) >= MAX_HANDLERS:
            continue
        known.add(handler)
        if word == "handler":
            attempts.add_metric([handler, label], count)
        else:
            histograms[word][handler][label] = count
    yield attempts
    for word, title in HISTOGRAMS.items():
        family = make_family(title)
        for handler, parts in histograms[word].items():
            family.add_metric([handler], sum_up(parts), parts.get("ms", 0) / 1000)
        yield family


def sum_up(parts: dict[str, int]) -> list[tuple[str, int]]:
    """The buckets as Prometheus wants them: each with all that is smaller. What is no bound is not ours."""
    total, buckets = 0, []
    for bound in sorted((one for one in parts if is_bound(one)), key=float):
        total += parts[bound]
        buckets.append(("+Inf" if bound == "inf" else bound, total))
    return buckets if buckets and buckets[-1][0] == "+Inf" else [*buckets, ("+Inf", total)]


def is_bound(text: str) -> bool:
    return text == "inf" or text.replace(".", "", 1).isdecimal()
