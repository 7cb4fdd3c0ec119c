"""Limits of a worker process: memory, file descriptors, and that it ends with its parent."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from receiver.contract.memory import forbid_core_dumps

MEMORY_SHARE = 0.75  # of the container's or machine's memory, for all processes together
LEAST_BYTES = 64 << 20  # for one process: with less it could not even start
MEMORY_FILES = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # of cgroup v2, and v1
WORN_SHARE = 0.6  # of its limit: a process that uses more takes nothing new, before its neighbours feel it
PDEATHSIG = 1  # prctl's PR_SET_PDEATHSIG: a process ends when its parent does
FIRST_TO_GO = "800"  # of 1000: whom the kernel ends when memory runs out, rather than the parent


def apply(memory: int = 0, processes: int = 1) -> int:
    """Sets the limits of this process and answers how many bytes of data it may hold.

    memory: that many; 0: our share of what there is. processes: that share it.
    """
    forbid_core_dumps()
    share = max(LEAST_BYTES, int(count_available_bytes() * MEMORY_SHARE / processes))
    most, (_, ceiling) = memory or share, resource.getrlimit(resource.RLIMIT_DATA)
    if ceiling != resource.RLIM_INFINITY:  # a limit that stands already
        most = min(most, ceiling)
    with contextlib.suppress(ValueError, OSError):  # not every system has this one
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    return most


def count_available_bytes() -> int:
    """Bytes of memory that this container, or else the machine, has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [machine]
    for file in MEMORY_FILES:
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max"
            limits.append(int(Path(file).read_text()))
    return min(limits)


def find_wear(most: int) -> str:
    """Why this process should take no new work, or "". most: bytes of data that it may hold; 0 is no limit."""
    try:
        os.close(os.dup(2))
    except OSError:
        return "it has no file descriptor left"
    used = count_data_bytes() if most else 0
    return f"it holds {used >> 20} MiB" if used > most * WORN_SHARE else ""


def count_data_bytes() -> int:
    """Bytes of data that this process holds, or 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def end_with_parent(parent: int) -> None:
    """The process ends when its parent does; where the system has no such thing, the pipe's end says it later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before we asked
            os._exit(1)  # pragma: no cover - a race of two system calls
