"""The numbers that the documents promise, and the defaults that records have where nothing is said."""

from typing import Any

import pytest

from receiver.contract.records import Labels
from workers.ledger import sweeper, transitions
from workers.ledger.transitions import Claim, Decision, Outcome, Swept, Verdict
from workers.runtime import process_watch, supervisor

LABELS = Labels(id="evt_1", source="s", type="t", received_at=1)


@pytest.mark.parametrize(
    ("module", "numbers"),
    [
        (
            transitions,
            {
                "LEASE": 15, "LOST_AFTER": 10, "MOST": 500, "HANDLER_PATIENCE": 24 * 3600, "LATER_PATIENCE": 3 * 86400,
                "PARKED": 60_000, "ERROR": 500,
            },
        ),
        (supervisor, {"EVERY": 5, "SWEEP": 1, "STOP_GRACE": 25, "GRACE": 10, "ALONE": 8, "QUEUE": 16, "BROKEN": 2}),
        (process_watch, {"PREPARE": 60, "SLACK": 1, "SILENT": 15}),
        (sweeper, {"CONTACT": 8, "SHED_ABOVE": 0.8}),
    ],
    ids=["ledger", "parent", "child", "sweeper"],
)  # fmt: skip
def test_numbers(module: Any, numbers: dict[str, float]) -> None:
    assert {name: getattr(module, name) for name in numbers} == numbers


def test_reports_come_often_enough_to_tell_what_is_over_before_it_is_late() -> None:
    assert process_watch.BEAT <= process_watch.SLACK / 2


def test_a_claim_is_a_dispatch_that_nothing_is_known_against() -> None:
    claim = Claim(unit="evt_1", token=1, key="k", sealed=b"", labels=LABELS)

    assert (claim.handler, claim.attempt, claim.failures, claim.deaths) == ("", 0, 0, 0)
    assert (claim.suspect, claim.is_replay, claim.claimed_at) == (False, False, 0.0)
    assert claim.ticket == ("evt_1", 1)


def test_an_outcome_costs_no_time_and_has_no_error() -> None:
    ended = Outcome(unit="u", token=1, verdict=Verdict.DONE)

    assert (ended.delay, ended.error, ended.ticket) == (0.0, "", ("u", 1))
    assert ended.flat() == ["u", 1, "done", 0, b"", 259_200_000]
    missing = Outcome(unit="u", token=1, verdict=Verdict.MISSING, delay=1.5, error="\ud800" + "x" * 600)
    assert missing.flat() == ["u", 1, "missing", 1500, b"?" + b"x" * 499, 86_400_000]


def test_a_decision_makes_no_runs_and_begins_none() -> None:
    decision = Decision(unit="u", token=1, verdict="unhandled")

    assert decision.flat() == ["u", 1, "unhandled", "", 0]


def test_a_sweep_found_nothing() -> None:
    found = Swept()

    assert (found.expired, found.due, found.lost, found.deleted, found.now, found.jumped) == (0,) * 6


@pytest.mark.parametrize("record", [LABELS, Outcome(unit="u", token=1, verdict=Verdict.DONE)])
def test_records_are_not_changed(record: Any) -> None:
    with pytest.raises(AttributeError):
        record.id = record.unit = "other"


@pytest.mark.parametrize("kind", [Claim, Outcome, Decision, Labels])
def test_records_are_made_by_name(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind("evt_1", 1)
