"""The ledger as Prometheus text. All workers of a queue show the same numbers: take the max over instances."""

import logging
import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from receiver.contract import exposition
from receiver.contract.connection import GONE, decode_text
from receiver.contract.records import read_number

from ..ledger.transitions import Ledger
from .figures import EVENT_INDEXES, RUN_INDEXES, measure_oldest

log = logging.getLogger(__name__)


class LedgerCollector(Collector):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("zr_ledger_up", "1 if Redis answered this scrape")
        try:
            families = list(self._read())
        except GONE:
            families = []
        up.add_metric([], 1 if families else 0)
        yield up
        yield from families

    def _read(self) -> Iterator[Metric]:
        client, keys = self._ledger.client, self._ledger.keys
        for name, states in {"zr_events": EVENT_INDEXES, "zr_runs": RUN_INDEXES}.items():
            family = GaugeMetricFamily(name, "What is not final, by state", labels=["state"])
            for state, index in states.items():
                family.add_metric([state], client.zcard(keys.name(index)))
            yield family
        yield GaugeMetricFamily("zr_queue_length", "Entries in RQ's list", value=client.llen(keys.jobs))
        yield GaugeMetricFamily(
            "zr_oldest_seconds", "Age of the oldest event not dispatched", value=self._measure_oldest()
        )
        yield GaugeMetricFamily("zr_later", "Units that a later release wrote", value=client.zcard(keys.name("later")))
        yield GaugeMetricFamily("zr_junk", "Records set aside", value=client.zcard(keys.name("junk")))
        counters = {
            decode_text(name): decode_text(value) for name, value in client.hgetall(keys.name("counters")).items()
        }
        attempts = CounterMetricFamily("zr_attempts", "Attempts that ended, by outcome", labels=["outcome"])
        events = CounterMetricFamily("zr_events_ended", "Events that ended, by state", labels=["state"])
        other = CounterMetricFamily("zr_ledger", "Recoveries, overlaps, refused jobs and the like", labels=["what"])
        for name in sorted(counters):
            kind, _, rest = name.partition("_")
            if kind in ("attempts", "events"):
                (attempts if kind == "attempts" else events).add_metric([rest], read_number(counters[name]))
            elif not name.startswith("untyped:"):  # receivers have zr_untyped_total
                other.add_metric([name], read_number(counters[name]))
        yield from (attempts, events, other)

    def _measure_oldest(self) -> float:
        seconds, micro = self._ledger.client.time()
        return measure_oldest(self._ledger, seconds + micro / 1e6)


def serve(host: str, port: int, ledger: Ledger) -> None:  # pragma: no cover - in a child that is ended by a signal
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    try:
        exposition.serve(exposition.listen(host, port), registry)
    except OSError as error:
        log.error(
            "cannot listen on %s:%s for metrics: METRICS_PORT changes it, 0 is off", host, port, extra={"error": error}
        )
    finally:
        os._exit(0)
