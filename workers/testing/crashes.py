"""Kills and pauses a handler's process at each of its calls: whatever happens, each effect happens once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..event import Event
from ..handler import Handler
from .answers import Documents
from .running import Result, run_handler


def check_crashes(handler: Handler | Callable[..., Any], event: Event, *, answers: Documents | None = None) -> Result:
    """Runs the handler undisturbed, then killed before and after, and paused after each call that changes something.

    The undisturbed result. answers: see `run_handler`. Raises AssertionError where a disturbed run has other effects,
    and says which.
    """
    whole = run_handler(handler, event, answers=answers)
    for number in range(1, len(whole.changes) + 1):
        for what, moment in (("kill", "before"), ("kill", "after"), ("pause", "after")):
            place = f"{moment} call {number}"
            other = run_handler(handler, event, answers=answers, **{f"{what}_at": place})  # type: ignore[arg-type]
            how = f"{'killed' if what == 'kill' else 'paused'} {place}"
            repeated = Counter(other.changes) - Counter(whole.changes)
            lost = Counter(whole.changes) - Counter(other.changes)
            assert not repeated, f"{how}, it repeated: {', '.join(repeated)}"
            assert not lost, f"{how}, it left out: {', '.join(lost)}"
            assert other.outcome == whole.outcome, f"{how}, it ended {other.outcome}: {other.error!r}"
    return whole
