"""The short form of the fault matrix, and its controls."""

import pytest

from .matrix import CONTROLS, SHORT
from .row import Row

pytestmark = [pytest.mark.faults, pytest.mark.timeout(200)]


@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.name)
def test_a_fault_loses_nothing(row: Row) -> None:
    report = row.run()

    assert report.holds, f"{report}\n{report.note}"


@pytest.mark.parametrize(("row", "guard"), CONTROLS, ids=[guard for _, guard in CONTROLS])
def test_a_guard_that_is_off_is_seen(row: Row, guard: str) -> None:
    """A checker that cannot fail proves nothing."""
    report = row.run(without=guard)

    assert not report.holds, report
