"""
What a handler may raise, besides everything else, which is an ordinary failure
├── GiveUp        no later attempt can help: the run is dead at once
└── RetryLater    again in so many seconds; costs no budget

WrongHandler      a handler that could not run as its author means it, found when its module is loaded
LeaseLost         this attempt is not the run's owner any more: calls to the API are refused
"""

from collections.abc import Sequence

MAX_RETRY_LATER_SECONDS = 3 * 86400.0  # a run that puts itself off for longer is dead anyway


class GiveUp(Exception):
    """No later attempt can help: a dead letter at once. cause: replaces the exception's name in the dead letter."""

    cause = ""


class RetryLater(Exception):
    """Attempt the run again in `seconds`. It does not count as a failure."""

    def __init__(self, seconds: float, why: str = "") -> None:
        self.seconds = min(max(0.0, float(seconds)), MAX_RETRY_LATER_SECONDS)  # NaN becomes 0
        super().__init__(why or f"again in {self.seconds:g} s")


class WrongHandler(ValueError):
    """A handler that could not run as its author means it. The message says where, and what to write instead."""

    def __init__(self, place: str, faults: Sequence[str]) -> None:
        super().__init__(f"{place}: {'; '.join(faults)}")


class LeaseLost(Exception):
    """Another attempt may own the run: this one must not act any more."""
