"""Messages between a supervisor and its processes: JSON lines over a socket pair."""

import json
import mmap
import os
import socket
import struct
import time
from threading import Lock
from typing import Any, cast

import msgspec

from ..ledger.sealed_errors import MAX_ERROR_CHARACTERS
from ..ledger.units import Outcome


def pack_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a message holds it."""
    cut = msgspec.structs.replace(outcome, error=outcome.error[:MAX_ERROR_CHARACTERS])
    return cast("dict[str, Any]", msgspec.to_builtins(cut))


def unpack_outcome(message: dict[str, Any]) -> Outcome:
    return msgspec.convert(message, Outcome)


class Pipe:
    """One end. `receive` returns what has come, and None once the other end is gone."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._inode = os.fstat(end.fileno()).st_ino
        self._rest = b""
        self._lock = Lock()

    def fileno(self) -> int:
        return self._end.fileno()

    @property
    def is_whole(self) -> bool:
        """Whether the descriptor is still ours. A handler may have closed it, and its number may be reused."""
        try:
            return os.fstat(self._end.fileno()).st_ino == self._inode
        except OSError:
            return False

    def send(self, **message: Any) -> None:
        """Sends a message. Never raises: `receive` notices that the other end is gone."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._lock:
                if self.is_whole:
                    self._end.sendall(line)
        except OSError:
            pass

    def receive(self) -> list[dict[str, Any]] | None:
        try:
            data = self._end.recv(1 << 16)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        self._end.close()


def make_pair() -> tuple[Pipe, Pipe]:
    """The parent's end, which never waits, and the child's."""
    parent, child = socket.socketpair()
    parent.setblocking(False)
    return Pipe(parent), Pipe(child)


class Clock:
    """When the supervisor last renewed the leases, in monotonic seconds, in shared memory."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)
        self.set(time.monotonic())

    def set(self, moment: float) -> None:
        self._memory[:8] = struct.pack("d", moment)

    def get(self) -> float:
        return float(struct.unpack("d", self._memory[:8])[0])
