"""What is counted of an attempt by handler, besides its outcome: buckets of histograms, and their sums in ms."""

import time
from bisect import bisect_left
from functools import lru_cache

from ..ledger.units import Verdict
from .attempt import Attempt

DURATIONS_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, float("inf"))
LAGS_SECONDS = (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, float("inf"))


def tally(ready: Attempt, verdict: Verdict, seconds: float) -> dict[str, int]:
    """Names of counters, as `ledger_metrics.read_handlers` reads them. seconds: that the attempt took."""
    claim, handler = ready.claim, ready.handler.name
    counts = observe("seconds", handler, seconds, DURATIONS_SECONDS)
    if claim.is_replay:
        return counts
    since_acceptance = time.time() - claim.labels.received_at / 1000
    if claim.attempt == 1:
        counts |= observe("start", handler, since_acceptance - seconds, LAGS_SECONDS)
    if verdict is Verdict.DONE:
        counts |= observe("end", handler, since_acceptance, LAGS_SECONDS)
    return counts


def observe(word: str, handler: str, seconds: float, bounds: tuple[float, ...]) -> dict[str, int]:
    """One observation, in the one bucket that holds it: buckets are summed up where they are read."""
    value = max(0.0, seconds)
    names = name_counters(word, handler, bounds)
    return {names[bisect_left(bounds, value)]: 1, names[-1]: int(value * 1000)}


@lru_cache(maxsize=1024)
def name_counters(word: str, handler: str, bounds: tuple[float, ...]) -> list[str]:
    """Of each bucket, and of the sum."""
    return [f"{word}:{bound:g}:{handler}" for bound in bounds] + [f"{word}:ms:{handler}"]
