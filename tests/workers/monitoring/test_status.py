import json
import time

import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch
from workers.cli import main
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.monitoring.status import survey


def dead(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    (run,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=run.unit, token=1, verdict=Verdict.DEAD)])


def beat(ledger: Ledger, name: str, seconds_ago: float) -> None:
    """A worker's last sign of life."""
    ledger.client.zadd(ledger.keys.name("workers"), {name: int((time.time() - seconds_ago) * 1000)})


def test_an_idle_ledger_has_no_trouble(ledger: Ledger) -> None:
    found = survey(ledger)

    assert (found.stuck, found.workers, found.oldest_seconds, found.memory) == ([], 0, 0, 0)


def test_every_trouble_is_told_with_its_remedy(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    dead(ledger, seal)
    parked = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "parked", "unknown-seal-key")
    client.zadd(ledger.keys.name("junk"), {"x": 1000})
    accept(ledger, seal)

    found = {trouble.what: trouble for trouble in survey(ledger).stuck}

    assert list(found) == ["no worker", "dead letters", "sealed with an unknown key", "records set aside"]
    assert found["records set aside"].since == "1970-01-01T00:00:01.000Z"
    assert all(trouble.since.startswith("20") for name, trouble in found.items() if name != "records set aside")
    assert parked


def test_events_without_a_type_are_told_by_source(
    ledger: Ledger, client: redis.Redis, capsys: pytest.CaptureFixture[str], env: dict[str, str]
) -> None:
    client.hset(ledger.keys.name("counters"), mapping={"untyped:acme": 12, "events_done": 3})

    assert survey(ledger).untyped == {"acme": 12}
    with pytest.raises(SystemExit):
        main(["status"])
    assert "source acme: 12 events without a type" in capsys.readouterr().out


def test_slow_workers_are_told_from_none(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    event = accept(ledger, seal)
    client.hset(ledger.keys.event(event), "queued_at", int((time.time() - 100) * 1000))
    beat(ledger, "zr-dead-worker", 60)
    assert [trouble.what for trouble in survey(ledger).stuck] == ["no worker"]
    beat(ledger, "zr-living-worker", 3)

    found = survey(ledger)

    assert (found.workers, [trouble.what for trouble in found.stuck]) == (1, ["workers do not keep up"])


@pytest.mark.parametrize("broken", [False, True])
def test_the_command_says_it_in_words_and_in_json(
    ledger: Ledger, seal: Seal, env: dict[str, str], capsys: pytest.CaptureFixture[str], broken: bool
) -> None:
    if broken:
        dead(ledger, seal)
    with pytest.raises(SystemExit) as ended:
        main(["status"])
    words = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["status", "--json"])
    found = json.loads(capsys.readouterr().out)

    assert ended.value.code == 0
    assert ("nothing is stuck" in words) is not broken
    assert ("! dead letters: 1, since 20" in words) is broken
    assert found["counts"]["dead"] == int(broken)
