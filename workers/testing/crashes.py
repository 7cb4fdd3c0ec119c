"""Kills a handler's process at each of its calls: whatever happens, each effect happens once."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..event import Event
from ..handler import Handler
from .running import Result, run_handler


def check_crashes(handler: Handler | Callable[..., Any], event: Event) -> Result:
    """Runs the handler once undisturbed, then killed before and after each call that changes something.

    The undisturbed result. Raises AssertionError where a run that was killed has other effects, and says which.
    """
    whole = run_handler(handler, event)
    for number in range(1, len(whole.changes) + 1):
        for moment in ("before", "after"):
            place = f"{moment} call {number}"
            killed = run_handler(handler, event, kill_at=place)
            repeated = Counter(killed.changes) - Counter(whole.changes)
            lost = Counter(whole.changes) - Counter(killed.changes)
            assert not repeated, f"killed {place}, it repeated: {', '.join(repeated)}"
            assert not lost, f"killed {place}, it left out: {', '.join(lost)}"
            assert killed.outcome == whole.outcome, f"killed {place}, it ended {killed.outcome}: {killed.error!r}"
    return whole
