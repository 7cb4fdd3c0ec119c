"""What a load has left free goes back to the system, and rarely enough."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from receiver.contract import memory

MIB = 2**20


@pytest.fixture
def rare() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


class Knot:
    """An object that only the collector of cycles frees."""

    def __init__(self) -> None:
        self.self = self


@pytest.mark.usefixtures("rare")
def test_what_a_load_leaves_is_collected_once_the_process_has_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"now": 50 * MIB}
    monkeypatch.setattr(memory, "measure_resident_bytes", lambda: sizes["now"])
    trim, now = memory.Trimmer(), 1000.0

    def collects() -> bool:
        found = weakref.ref(Knot())
        trim(now)
        return found() is None

    assert not collects()  # nothing has grown
    sizes["now"] = 57 * MIB
    assert not collects()  # by too little
    sizes["now"] = 70 * MIB
    assert collects()
    sizes["now"] = 90 * MIB
    assert not collects()  # too soon after the last time
    now += memory.TRIM_SECONDS
    assert collects()
    now += memory.TRIM_SECONDS
    assert not collects()  # nothing has changed since


@pytest.mark.usefixtures("rare")
def test_a_system_whose_allocator_cannot_trim_collects_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    memory.settle()
    gc.unfreeze()
    trim = memory.Trimmer()
    monkeypatch.setattr(memory, "measure_resident_bytes", lambda: 2**40)
    found = weakref.ref(Knot())

    trim(1000.0)

    assert found() is None


def test_bytes_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 10 * MIB < memory.measure_resident_bytes() < 4096 * MIB

    def nowhere(*arguments: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", nowhere)
    assert memory.measure_resident_bytes() == 0
