"""Memory: a rare garbage collection, trimming after load, no core dumps."""

import ctypes
import gc
import resource

M_MMAP_THRESHOLD = -3  # glibc, malloc.h
LARGE_BYTES = 256 * 1024  # more than a full batch of common events takes: what comes from the system costs page faults
GROWTH_BYTES = 8 * 1024 * 1024  # of the process, until it is worth to look for what can be given back
CHANGE_BYTES = 1024 * 1024  # since the last time, likewise
TRIM_SECONDS = 3.0  # between two times: it takes some 10 ms
COLLECT_THRESHOLD_COUNT = 50_000  # new containers until it looks at the youngest; Python's own default is 700


def settle() -> None:
    """Tells the garbage collector that all present objects stay, and makes it rare.

    Large buffers come from the system and go back to it at once: glibc would move this limit up with each that is
    freed, and then keep what lies between two live ones.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_THRESHOLD_COUNT, 20, 50)


def forbid_core_dumps() -> None:
    """Forbids core dumps of this process and its children: they would hold payloads, keys and secrets."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Trimmer:
    """Returns memory to the system after a load: collects cycles, and trims the heap.

    glibc keeps what was freed between two live objects; elsewhere only the cycles are collected.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._base_bytes = self._last_bytes = measure_resident_bytes()
        self._next = 0.0

    def __call__(self, now: float) -> None:
        """Trims if the process has grown since its start and since the last trim. now: monotonic seconds."""
        resident = measure_resident_bytes()
        if resident - self._base_bytes < GROWTH_BYTES or now < self._next:
            return
        if abs(resident - self._last_bytes) < CHANGE_BYTES:
            return
        gc.collect()
        if self._trim:
            self._trim(0)
        self._last_bytes = measure_resident_bytes()
        self._next = now + TRIM_SECONDS


def measure_resident_bytes() -> int:
    """Bytes of the process that are in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0
