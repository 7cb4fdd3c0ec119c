"""All connections of a server process: how many there may be, and how long each may wait for its sender."""

import asyncio
import logging
import resource
import time
from collections import deque
from typing import Protocol

from .bodies import BodyBudget

log = logging.getLogger(__name__)
IDLE_SECONDS = 75.0  # between two requests
INCOMPLETE_SECONDS = 10.0  # from the first byte of a request, or from the start, to its last byte
CLOSING_SECONDS = 10.0  # for the sender to read what was said
SWEEP_SECONDS = 1.0
REPORT_SECONDS = 5.0
TURN_SECONDS = 0.01
MAX_TURNS = 8  # connections with large bodies that are read within TURN_SECONDS
MAX_TURN_BYTES = 2 * 1024 * 1024  # that are read of them within TURN_SECONDS before others must wait
STATE = "receiver.connections"  # the key of ASGI's lifespan state under which the application passes Connections
MAX_CONNECTIONS = 8192
MAX_BODY_BYTES = 1024 * 1024
OWN_FILES_COUNT = 64  # file descriptors that a process needs for other things than its senders


class Connection(Protocol):
    phase: "dict[Connection, float] | None"

    def time_out(self) -> None: ...
    def close_idle(self) -> None: ...
    def abort(self) -> None: ...
    def make_room(self) -> None: ...
    def read_on(self) -> None: ...


class Connections:
    """Each connection is in one phase: idle, incomplete, closing, or none while we are the ones who are waited for.

    A phase maps its connections to the monotonic time at which they entered it, the longest one first.
    """

    def __init__(
        self, limit: int = MAX_CONNECTIONS, bodies: BodyBudget | None = None, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self.limit = limit
        self.max_body_bytes = max_body_bytes
        self.bodies = bodies or BodyBudget()
        self.idle: dict[Connection, float] = {}
        self.incomplete: dict[Connection, float] = {}
        self.closing: dict[Connection, float] = {}
        self.open = 0
        self.draining = False  # each connection ends with its next answer
        self.malformed = 0  # requests that are no HTTP, since the start
        self.evicted = 0  # connections closed to make room, since the start
        self._logged = (0, 0, 0)
        self._next_report = 0.0
        self._sweeping = False
        self._turn_ends = 0.0
        self._turn_bytes = 0
        self._turns: deque[Connection] = deque()

    def add(self, connection: Connection) -> None:
        """At the limit the connection goes that has waited longest for its sender, and not the newcomer."""
        self.open += 1
        self.move(connection, self.incomplete)
        if self.open > self.limit:
            self._evict()
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def remove(self, connection: Connection) -> None:
        self.open -= 1
        self.move(connection, None)

    def move(self, connection: Connection, phase: dict[Connection, float] | None) -> None:
        """Puts a connection into a phase, from now on."""
        if connection.phase is not None:
            del connection.phase[connection]
        connection.phase = phase
        if phase is not None:
            phase[connection] = time.monotonic()

    def take_turns(self, connection: Connection, size: int) -> bool:
        """Whether a connection that has just sent much must wait for its turn, so that others are served meanwhile."""
        now = time.monotonic()
        if now >= self._turn_ends:
            self._turn_ends, self._turn_bytes = now + TURN_SECONDS, 0
        self._turn_bytes += size
        if self._turn_bytes <= MAX_TURN_BYTES:
            return False
        if not self._turns:
            asyncio.get_running_loop().call_later(TURN_SECONDS, self._give_turns)
        self._turns.append(connection)
        return True

    def _give_turns(self) -> None:
        for _ in range(min(MAX_TURNS, len(self._turns))):
            self._turns.popleft().read_on()
        if self._turns:
            asyncio.get_running_loop().call_later(TURN_SECONDS, self._give_turns)

    def _evict(self) -> None:
        """Closing ones first: all was said to them."""
        phases = [self.closing] if self.closing else [phase for phase in (self.idle, self.incomplete) if phase]
        phase = min(phases, key=lambda one: next(iter(one.values())))
        victim = next(iter(phase))
        self.evicted += 1
        self.move(victim, None)
        victim.make_room()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in list_overdue(self.closing, now - CLOSING_SECONDS):
            self.move(connection, None)
            connection.abort()
        for connection in list_overdue(self.incomplete, now - INCOMPLETE_SECONDS):
            self.move(connection, self.closing)
            connection.time_out()
        for connection in list_overdue(self.idle, now - IDLE_SECONDS):
            self.move(connection, self.closing)
            connection.close_idle()
        self._report()
        self._sweeping = self.open > 0
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _report(self) -> None:
        """One line in a while, whatever the senders do; the first one at once."""
        now = time.monotonic()
        if now < self._next_report:
            return
        counts = (self.malformed, self.evicted, self.bodies.shed)
        malformed, evicted, shed = (new - old for new, old in zip(counts, self._logged, strict=True))
        self._logged = counts
        if malformed or evicted or shed:
            self._next_report = now + REPORT_SECONDS
            log.warning(
                "bad senders: %d malformed requests, %d connections closed at the limit of %d, %d bodies shed",
                malformed, evicted, self.limit, shed,
            )  # fmt: skip


def list_overdue(phase: dict[Connection, float], before: float) -> list[Connection]:
    """The connections that entered the phase before this time; they stand first."""
    overdue = []
    for connection, since in phase.items():
        if since > before:
            break
        overdue.append(connection)
    return overdue


def limit_connections(wanted: int = 0) -> int:
    """How many connections fit below the limit of open files, which is raised as far as it may be. wanted: 0 is all."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * (wanted or MAX_CONNECTIONS)
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    # a quarter stays free: a burst is accepted before anybody can be closed for it
    fits = max(8, (soft - OWN_FILES_COUNT) * 3 // 4)
    return min(wanted or MAX_CONNECTIONS, fits)
