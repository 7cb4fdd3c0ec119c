"""The short form of the fault matrix."""

import pytest

from .rows import CONTROLS, SHORT, Row, run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(150)]


@pytest.mark.parametrize("row", SHORT, ids=lambda row: row.__name__)
def test_a_fault_loses_nothing(row: Row) -> None:
    report = run(row)

    assert report.holds, report


@pytest.mark.parametrize(("name", "row", "guards"), CONTROLS, ids=[name for name, *_ in CONTROLS])
def test_a_guard_that_is_off_is_seen(name: str, row: Row, guards: dict[str, bool]) -> None:
    """A checker that cannot fail proves nothing."""
    report = run(row, **guards)

    assert not report.holds, report
