"""The budget of memory for all request bodies that are not answered yet."""

from collections.abc import Sequence
from typing import Protocol

from ..errors import Unavailable

SMALL_BYTES = 64 * 1024  # bodies up to this size have a reserve
RESERVE_DIVISOR = 8  # one part in so many of the budget is kept for small bodies
DEFAULT_BUDGET_BYTES = 64 * 1024 * 1024


class Request(Protocol):
    held_bytes: int

    def fail(self, kind: type[Unavailable], cause: str) -> None: ...


class BodyBudget:
    """Counts the bytes of bodies. Over the budget the largest incomplete request gets 503, not the newcomer."""

    def __init__(self, limit_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._limit_large_bytes = limit_bytes - limit_bytes // RESERVE_DIVISOR
        self.held_bytes = 0
        self._large_bytes = 0  # of bodies over SMALL_BYTES
        self.shed = 0  # requests that were given up for others, since the start

    def hold(self, request: Request, size: int) -> None:
        """Counts bytes that a request has received."""
        before = request.held_bytes
        request.held_bytes = after = before + size
        self.held_bytes += size
        if after > SMALL_BYTES:
            self._large_bytes += size if before > SMALL_BYTES else after

    @property
    def is_over(self) -> bool:
        """Whether somebody must go."""
        return self.held_bytes > self._limit_bytes or self._large_bytes > self._limit_large_bytes

    def make_room(self, candidates: Sequence[Request]) -> None:
        """Fails the largest incomplete requests until the rest fits."""
        for largest in sorted(candidates, key=lambda one: -one.held_bytes):
            if not self.is_over or not largest.held_bytes:
                return
            self.release(largest)
            self.shed += 1
            largest.fail(Unavailable, "bodies")

    def release(self, request: Request) -> None:
        """Forgets what a request holds."""
        self.held_bytes -= request.held_bytes
        if request.held_bytes > SMALL_BYTES:
            self._large_bytes -= request.held_bytes
        request.held_bytes = 0
