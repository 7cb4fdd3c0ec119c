"""The units that a process has claimed. The supervisor hears of every change before it takes effect."""

import threading
from collections.abc import Sequence

from ..context import Lease
from ..ledger.units import Claim, Ticket
from .pipe import Clock, Pipe


class HeldClaims:
    def __init__(self, pipe: Pipe, clock: Clock, places: int) -> None:
        self._pipe = pipe
        self._clock = clock
        self._places = places
        self._changed = threading.Condition()
        self._leases: dict[Ticket, Lease] = {}
        self._over: dict[Ticket, None] = {}

    @property
    def free(self) -> int:
        return self._places - len(self._leases)

    def wait_for_room(self, wanted: int, seconds: float) -> int:
        """Free places, as soon as there are so many of them, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.free >= wanted, seconds)
            return self.free

    def wait_until_empty(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._leases)

    def change(self, begun: Sequence[Claim], ended: Sequence[Ticket] = ()) -> list[Lease]:
        """Replaces ended units by begun ones. The leases of the begun ones."""
        leases = [Lease(claim.claimed_at, self._clock.get) for claim in begun]
        with self._changed:
            self._forget(ended)
            self._leases.update((claim.ticket, lease) for claim, lease in zip(begun, leases, strict=True))
            self._changed.notify_all()
        self._pipe.send(held=[(one.unit, one.token, one.failures) for one in begun], ended=list(ended))
        return leases

    def end(self, tickets: Sequence[Ticket], parent_knows: bool = False) -> None:
        """Forgets the leases; tells the parent unless it knows already."""
        if tickets and not parent_knows:
            self._pipe.send(ended=list(tickets))
        with self._changed:
            self._forget(tickets)
            self._changed.notify_all()

    def _forget(self, tickets: Sequence[Ticket]) -> None:
        for ticket in tickets:
            self._leases.pop(ticket, None)
            self._over.pop(ticket, None)

    def lose(self, ticket: Ticket) -> None:
        """Marks a lease as lost: another attempt may begin."""
        if lease := self._leases.get(ticket):
            lease.lost = True

    def note_end(self, ticket: Ticket) -> None:
        """Notes that an attempt has ended and is not recorded yet."""
        self._over[ticket] = None

    def list_unrecorded(self) -> list[Ticket]:
        """Ended attempts that are not recorded, in the order of their end."""
        return list(self._over.copy())
