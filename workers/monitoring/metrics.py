"""Serves a worker's health and the ledger's metrics, in a process of its own."""

import logging
import os

from prometheus_client import CollectorRegistry

from receiver.contract import exposition
from receiver.contract.ledger_metrics import LedgerCollector

from ..ledger.transitions import Ledger
from ..runtime.pulse import Pulse

log = logging.getLogger(__name__)


def serve(
    host: str, port: int, ledger: Ledger, pulse: Pulse
) -> None:  # pragma: no cover - in a child that is ended by a signal
    """Serves /livez and /readyz of the worker that forked us, and on all other paths its metrics."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger.client, ledger.keys, "worker"))
    probes = {"/livez": pulse.find_faults, "/readyz": pulse.find_obstacles}
    try:
        exposition.serve(exposition.listen(host, port), registry, probes)
    except OSError as error:
        log.error(
            "cannot listen on %s:%s for metrics: METRICS_PORT changes it, 0 is off", host, port, extra={"error": error}
        )
    finally:
        os._exit(0)
