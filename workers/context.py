"""The context of a running handler: its lease, `allow`, and what API clients share."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from .errors import LeaseLost
from .ledger.transitions import LEASE_SECONDS
from .zyra.issued_calls import IssuedCalls


@dataclass(slots=True)
class Lease:
    """Whether an attempt still owns its run. Renewed by the parent, whose last renewal `renewed_at` tells.

    clock: seconds.
    """

    claimed_at: float
    renewed_at: Callable[[], float] = field(default=lambda: 0.0)
    lost: bool = False
    clock: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """Raises LeaseLost where another attempt may have begun."""
        if self.lost or self.clock() - max(self.claimed_at, self.renewed_at()) > LEASE_SECONDS:
            self.lost = True
            raise LeaseLost("the lease of this attempt is lost: another one may run")


class Counter(Protocol):
    """The ledger, which all workers share, or a counter of this process."""

    def allow(self, key: str, times: int, seconds: float, who: str = "") -> bool: ...


class Context(msgspec.Struct, frozen=True):
    """Of one attempt.

    who: the handler's name. open_journal: the journal of the run's calls, the same one each time. redis: a client for
    what all queues share of an API. answer: answers requests to APIs in place of the network: an httpx2.Response of an
    httpx2.Request. issued: calls that an async client was asked for.
    """

    counter: Counter
    lease: Lease
    who: str = ""
    open_journal: Callable[[], Any] | None = None
    redis: Callable[[], Any] | None = None
    answer: Callable[[Any], Any] | None = None
    issued: IssuedCalls = msgspec.field(default_factory=IssuedCalls)


CURRENT: ContextVar[Context] = ContextVar("zyra-receiver")


def check_lease() -> None:
    """Raises LeaseLost where another attempt of the handler's run may have begun. Outside a handler there is none."""
    if context := CURRENT.get(None):
        context.lease.check()


def allow(key: str, times: int, seconds: float, who: str = "") -> bool:
    """Whether this may happen once more: at most `times` in any `seconds`, counted over all workers.

    who: such as `event.id`. Who was allowed is allowed again within these seconds, and counts once: a later attempt is
    the same thing. With times=0 nobody new is, which tells whether somebody was.
    Raises LookupError outside a handler.
    """
    return CURRENT.get().counter.allow(key, times, seconds, who)
