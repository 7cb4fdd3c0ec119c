"""A part of `make hostile`, with room for a noisy machine; the rest of it is in tests/receiver/server/test_guards.py."""

import pytest

from .hostile_loads import LOADS, SETTLED_MIB, Load, environment, measure

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]
HELD = [load for load in LOADS if load.name.split()[0] in ("24", "800", "900", "20,000")]


@pytest.mark.parametrize("load", HELD, ids=lambda load: load.name)
def test_a_hostile_load_is_bounded(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with environment() as env:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        found = measure(load)

    assert found.slowest < 4, found
    assert found.during - found.before < 2 * load.budget_mib + SETTLED_MIB, found
    assert found.after - found.before < SETTLED_MIB, found
    assert found.left == 0, found
    assert found.lines < 100, found
    assert found.clean, found
