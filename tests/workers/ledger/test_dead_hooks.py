"""What runs when another run of the event has become a dead letter."""

import time

import pytest

from receiver.contract.keys import hash_handler
from receiver.contract.seal import Seal
from tests.support.kit import accept, make_runs
from workers.ledger import archive, query
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Decision, Outcome, Verdict

HOOK = f"{hash_handler('page')} page"


def begin(ledger: Ledger, seal: Seal, *handlers: str) -> str:
    """An event that is dispatched to these handlers."""
    event = accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    runs = make_runs(handlers, hook=HOOK)
    ledger.finish_dispatches([Decision(unit=claim.unit, token=claim.token, verdict="dispatched", runs=runs)])
    return event


def end(ledger: Ledger, claim: Claim, verdict: Verdict, error: str = "") -> None:
    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=verdict, error=error)])


def take(ledger: Ledger) -> Claim:
    (claim,) = ledger.take([], 1)
    return claim


def states(ledger: Ledger, event: str) -> tuple[str, dict[str, str]]:
    found = query.show(ledger, event)
    assert found
    return found["state"], {run["handler"]: run["state"] for run in found["runs"]}


def test_a_dead_letter_makes_a_run_and_the_event_is_dead_at_once(ledger: Ledger, seal: Seal) -> None:
    event = begin(ledger, seal, "a")
    end(ledger, take(ledger), Verdict.DEAD, "ValueError: no")
    assert states(ledger, event) == ("dead", {"a": "dead", "page": "queued"})

    claim = take(ledger)

    assert claim.handler == "page"
    assert [(run["handler"], run["error"]) for run in query.list_dead_runs(ledger, event)] == [("a", "ValueError: no")]
    end(ledger, claim, Verdict.DONE)
    assert states(ledger, event) == ("dead", {"a": "dead", "page": "done"})
    assert ledger.client.hget(ledger.keys.name("counters"), "events_dead") == b"1"


@pytest.mark.parametrize("verdict", [Verdict.DONE, Verdict.SKIPPED, Verdict.FAILED])
def test_other_ends_make_none(ledger: Ledger, seal: Seal, verdict: Verdict) -> None:
    begin(ledger, seal, "a")

    end(ledger, take(ledger), verdict)

    assert ledger.take([], 5) == []


def test_a_quarantine_makes_one_too(ledger: Ledger, seal: Seal) -> None:
    begin(ledger, seal, "a")
    for _ in range(3):
        claim = take(ledger)
        ledger.claim_alone(*claim.ticket)
        ledger.renew([claim.ticket], lease=0)
        time.sleep(0.002)
        ledger.sweep()

    assert take(ledger).handler == "page"


def test_a_second_dead_letter_runs_it_again(ledger: Ledger, seal: Seal) -> None:
    event = begin(ledger, seal, "a", "b")
    first, second = ledger.take([], 2)
    end(ledger, first, Verdict.DEAD)
    page = take(ledger)
    end(ledger, page, Verdict.DONE)

    end(ledger, second, Verdict.DEAD)

    assert take(ledger).unit == page.unit
    assert len(query.list_dead_runs(ledger, event)) == 2


def test_two_dead_letters_at_once_make_one_run(ledger: Ledger, seal: Seal) -> None:
    begin(ledger, seal, "a", "b")
    for claim in ledger.take([], 2):
        end(ledger, claim, Verdict.DEAD)

    assert len(ledger.take([], 5)) == 1


def test_its_own_dead_letter_makes_none_and_is_replayed_with_the_event(ledger: Ledger, seal: Seal) -> None:
    event = begin(ledger, seal, "a")
    end(ledger, take(ledger), Verdict.DEAD)
    end(ledger, take(ledger), Verdict.DEAD)
    assert ledger.take([], 5) == []

    ledger.replay(event)

    assert sorted(claim.handler for claim in ledger.take([], 5)) == ["a", "page"]


def test_after_a_replay_the_event_ends_as_its_handlers_do(ledger: Ledger, seal: Seal) -> None:
    event = begin(ledger, seal, "a")
    end(ledger, take(ledger), Verdict.DEAD)
    end(ledger, take(ledger), Verdict.DONE)

    ledger.replay(event)

    end(ledger, take(ledger), Verdict.DONE)
    assert states(ledger, event) == ("done", {"a": "done", "page": "done"})
    assert ledger.replay(event, again=True)[1] == 1


def test_a_dead_letter_while_it_runs_makes_it_run_once_more(ledger: Ledger, seal: Seal) -> None:
    begin(ledger, seal, "a", "b")
    first, second = ledger.take([], 2)
    end(ledger, first, Verdict.DEAD)
    page = take(ledger)

    end(ledger, second, Verdict.REFUSED)

    assert ledger.take([], 5) == []
    end(ledger, page, Verdict.DONE)
    again = take(ledger)
    assert again.unit == page.unit
    end(ledger, again, Verdict.DONE)
    assert ledger.take([], 5) == []


def test_a_dead_letter_whose_event_is_gone_spoils_no_other_end(ledger: Ledger, seal: Seal) -> None:
    good = begin(ledger, seal, "a")
    first = take(ledger)
    gone = begin(ledger, seal, "a")
    second = take(ledger)
    ledger.client.delete(ledger.keys.event(gone))

    ledger.finish(
        [
            Outcome(unit=first.unit, token=first.token, verdict=Verdict.DONE),
            Outcome(unit=second.unit, token=second.token, verdict=Verdict.DEAD),
        ]
    )

    assert states(ledger, good)[0] == "done"
    assert ledger.client.zcard(ledger.keys.name("running")) == 0


def test_it_survives_a_restore(ledger: Ledger, seal: Seal) -> None:
    event = begin(ledger, seal, "a")
    end(ledger, take(ledger), Verdict.DEAD)
    lines = list(archive.write_archive(ledger, seal, [event], False))
    ledger.client.flushall()

    for line in list(archive.read_archive(lines))[1:]:
        archive.restore(ledger, seal, line)

    assert take(ledger).unit.startswith(event)
