"""The receiver's counters. With several server processes they meet in the files of PROMETHEUS_MULTIPROC_DIR."""

from collections.abc import Iterator
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from .contract.ledger_metrics import Description
from .errors import Rejected, Unavailable
from .server.connections import Connections

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.accepted = Counter("zr_accepted", "Events accepted for the first time", ["source"], registry=registry)
        self.duplicates = Counter("zr_duplicates", "Redeliveries of known events", ["source"], registry=registry)
        self.untyped = Counter("zr_untyped", "Events whose provider named no type", ["source"], registry=registry)
        self.refused = Counter("zr_refused", "Deliveries refused", ["source", "status", "cause"], registry=registry)
        self.unavailable = Counter("zr_unavailable", "Deliveries answered 503", ["source", "cause"], registry=registry)
        self.disconnects = Counter("zr_disconnects", "Senders that left before they were answered", registry=registry)
        self.ack = Histogram(
            "zr_ack_seconds", "From the complete request to the answer", buckets=BUCKETS_SECONDS, registry=registry
        )
        self.handshakes = Counter("zr_handshakes", "Challenges and pings answered", ["source"], registry=registry)
        self.redis_up = make_gauge("zr_redis_up", "1 while Redis answers", registry)
        self.accepting = make_gauge("zr_accepting", "1 while the next delivery would not get 503", registry)
        self.source_info = Gauge(
            "zr_source_info", "1; repeats: whether the source repeats what got no 2xx: yes, no, unknown",
            ["source", "scheme", "repeats"], registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.redis_hides = make_gauge("zr_redis_hides", "Durability settings that Redis would not tell", registry)
        self._children: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

        self.connections = make_gauge("zr_connections", "Connections of senders", registry, "livesum")
        self.connections_limit = make_gauge("zr_connections_limit", "How many there may be", registry, "livesum")
        self.body_bytes = make_gauge("zr_body_bytes", "Bytes of bodies under way", registry, "livesum")
        self.malformed = Counter("zr_malformed", "Requests that are no HTTP", registry=registry)
        self.evicted = Counter("zr_evicted", "Connections closed to make room for others", registry=registry)
        self._counted = (0, 0)

    def describe(self) -> Iterator[Description]:
        """All of them."""
        for one in vars(self).values():
            if isinstance(one, Counter | Gauge | Histogram):
                (metric,) = one.describe()
                yield Description(metric.name, metric.type, tuple(one._labelnames), metric.documentation)

    def note_source(self, source: str, scheme: str, retries: str) -> None:
        """retries: in the words of its scheme."""
        repeats = "unknown" if not retries else "no" if retries.startswith("none") else "yes"
        self.source_info.labels(source, scheme, repeats).set(1)

    def look_at(self, connections: Connections) -> None:
        """Tells how many connections there are, and what was counted since the last look."""
        self.connections.set(connections.open)
        self.connections_limit.set(connections.limit)
        self.body_bytes.set(connections.bodies.held_bytes)
        self.malformed.inc(connections.malformed - self._counted[0])
        self.evicted.inc(connections.evicted - self._counted[1])
        self._counted = (connections.malformed, connections.evicted)

    def accept(self, source: str, duplicate: bool, untyped: bool, seconds: float) -> None:
        self._child(self.duplicates if duplicate else self.accepted, source).inc()
        if untyped:
            self._child(self.untyped, source).inc()
        self.ack.observe(seconds)

    def handshake(self, source: str) -> None:
        self._child(self.handshakes, source).inc()

    def reject(self, rejected: Rejected, source: str) -> None:
        """source: "" of a path that names none."""
        if isinstance(rejected, Unavailable):
            self._child(self.unavailable, source, rejected.cause).inc()
        else:
            self._child(self.refused, source, str(rejected.status), rejected.cause).inc()

    def _child(self, counter: Counter, *labels: str) -> Counter:
        """prometheus_client looks a labelled counter up under a lock: once for each is enough."""
        child = self._children.get((counter, labels))
        if child is None:
            child = self._children[counter, labels] = counter.labels(*labels)
        return child


def make_gauge(
    name: str, text: str, registry: CollectorRegistry, mode: Literal["livemin", "livesum"] = "livemin"
) -> Gauge:
    """mode: how the values of several server processes become one."""
    return Gauge(name, text, registry=registry, multiprocess_mode=mode)
