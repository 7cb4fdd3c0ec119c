"""The numbers that the documents promise, and the defaults that records have where nothing is said."""

from typing import Any

import pytest

from receiver.contract.records import Labels
from receiver.contract.seal import Seal
from workers.ledger import sealed_errors, sweeper, transitions
from workers.ledger.sealed_errors import open_error, seal_error
from workers.ledger.transitions import SweepResult
from workers.ledger.units import Claim, Decision, Outcome, Verdict
from workers.runtime import process_watch, supervisor

LABELS = Labels(id="evt_1", source="s", type="t", received_at=1)


@pytest.mark.parametrize(
    ("module", "numbers"),
    [
        (
            transitions,
            {
                "LEASE_SECONDS": 15, "LOST_AFTER_SECONDS": 10, "MAX_SWEPT": 500, "MISSING_HANDLER_SECONDS": 24 * 3600,
                "RETRY_LATER_SECONDS": 3 * 86400,
                "PARKED_MS": 60_000,
            },
        ),
        (supervisor, {"RENEW_SECONDS": 5, "SWEEP_SECONDS": 1, "STOP_GRACE_SECONDS": 25, "GRACE_SECONDS": 10, "MAX_ALONE": 8, "MAX_WAITING_ALONE": 16, "BROKEN_STATUS": 2}),
        (process_watch, {"PREPARE_SECONDS": 60, "SLACK_SECONDS": 1, "SILENT_SECONDS": 15}),
        (sealed_errors, {"MAX_ERROR_CHARACTERS": 500}),
        (sweeper, {"CONTACT_SECONDS": 8, "SHED_ABOVE_SHARE": 0.8}),
    ],
    ids=["ledger", "parent", "child", "errors", "sweeper"],
)  # fmt: skip
def test_numbers(module: Any, numbers: dict[str, float]) -> None:
    assert {name: getattr(module, name) for name in numbers} == numbers


def test_reports_come_often_enough_to_tell_what_is_over_before_it_is_late() -> None:
    assert process_watch.BEAT_SECONDS <= process_watch.SLACK_SECONDS / 2


def test_a_claim_is_a_dispatch_that_nothing_is_known_against() -> None:
    claim = Claim(unit="evt_1", token=1, key="k", sealed=b"", labels=LABELS)

    assert (claim.handler, claim.attempt, claim.failures, claim.deaths) == ("", 0, 0, 0)
    assert (claim.suspect, claim.is_replay, claim.claimed_at) == (False, False, 0.0)
    assert claim.ticket == ("evt_1", 1)


def test_an_outcome_costs_no_time_and_has_no_error() -> None:
    ended = Outcome(unit="u", token=1, verdict=Verdict.DONE)

    assert (ended.delay, ended.error, ended.ticket) == (0.0, "", ("u", 1))


def test_a_kept_error_is_cut_and_is_text(seal: Seal) -> None:
    ended = Outcome(unit="u", token=1, verdict=Verdict.DEAD, error="\ud800" + "x" * 600, frames=("a.py:1 in f",))

    kept = open_error(seal, "u", seal_error(seal, ended))

    assert (kept.error, kept.frames) == ("?" + "x" * 499, ("a.py:1 in f",))
    assert "cannot be decrypted" in open_error(seal, "other", seal_error(seal, ended)).error
    assert (open_error(None, "u", "x").error, open_error(seal, "u", "").error) == ("", "")


def test_a_decision_makes_no_runs_and_begins_none() -> None:
    decision = Decision(unit="u", token=1, verdict="unhandled")

    assert (decision.cause, decision.runs) == ("", ())


def test_a_sweep_found_nothing() -> None:
    found = SweepResult()

    assert (found.expired, found.due, found.lost, found.deleted, found.now, found.jumped) == (0,) * 6


@pytest.mark.parametrize("record", [LABELS, Outcome(unit="u", token=1, verdict=Verdict.DONE)])
def test_records_are_not_changed(record: Any) -> None:
    with pytest.raises(AttributeError):
        record.id = record.unit = "other"


@pytest.mark.parametrize("kind", [Claim, Outcome, Decision, Labels])
def test_records_are_made_by_name(kind: Any) -> None:
    with pytest.raises(TypeError, match="positional"):
        kind("evt_1", 1)
