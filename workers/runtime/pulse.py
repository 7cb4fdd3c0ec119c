"""What a supervisor shows the process that serves its health: when its loop last ran, and its phase."""

import mmap
import struct
import time
from enum import IntEnum

STALLED_SECONDS = 30.0  # since the loop last ran: each turn may wait some seconds for Redis
FORM = struct.Struct("dB")


class Phase(IntEnum):
    STARTING = 0  # it may wait for Redis
    RUNNING = 1
    STOPPING = 2


class Pulse:
    """In memory that is shared with processes forked later."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, FORM.size)

    def beat(self, phase: Phase = Phase.RUNNING) -> None:
        FORM.pack_into(self._memory, 0, time.monotonic(), phase)

    def find_faults(self) -> list[str]:
        """Why the worker should be restarted."""
        at, phase = FORM.unpack_from(self._memory, 0)
        stalled = phase != Phase.STARTING and time.monotonic() - at > STALLED_SECONDS
        return [f"the supervisor's loop has not run for {STALLED_SECONDS:.0f} s"] if stalled else []

    def find_obstacles(self) -> list[str]:
        """Why the worker takes no work."""
        phase = Phase(FORM.unpack_from(self._memory, 0)[1])
        return self.find_faults() or ([] if phase is Phase.RUNNING else [phase.name.lower()])
