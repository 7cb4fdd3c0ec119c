"""What a stock RQ worker calls, called in this process."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.contract.connection import text
from receiver.contract.seal import Seal
from tests.support.kit import accept
from workers import jobs
from workers.ledger import query
from workers.ledger.transitions import Ledger


@pytest.fixture(autouse=True)
def fresh(env: dict[str, str]) -> Iterator[None]:
    jobs.setting.cache_clear()
    jobs.process_clients.cache_clear()
    yield
    jobs.setting()[0].client.close()
    jobs.setting.cache_clear()


def next_job(ledger: Ledger) -> str:
    return text(ledger.client.lpop(ledger.keys.jobs))


def test_a_long_run_keeps_its_lease(
    ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jobs, "LEASE", 0.3)
    event = accept(ledger, seal, b'{"seconds": 0.5}', kind="short")
    jobs.dispatch(next_job(ledger))
    job = next_job(ledger)
    before = time.time()

    jobs.run(job)

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["runs"][0]["attempts"]) == ("done", 1)
    assert time.time() - before >= 0.5


def test_a_forged_job_is_counted(ledger: Ledger) -> None:
    jobs.refused("evil")

    assert ledger.client.hget(ledger.keys.named("counters"), "jobs_refused") == b"1"


def test_a_job_that_is_claimed_already_does_nothing(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal, kind="basic.one")
    job = next_job(ledger)

    jobs.dispatch(job)
    jobs.dispatch(job)
    jobs.run(job)

    assert ledger.client.llen(ledger.keys.jobs) == 1


def test_a_def_handler_that_does_not_end_is_left_behind(ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal, kind="slow")
    jobs.dispatch(next_job(ledger))
    before = time.monotonic()

    jobs.run(next_job(ledger))

    found = query.show(ledger, event)
    assert found is not None
    assert (found["state"], found["runs"][0]["error"]) == ("dead", "TimeoutError: not done after 1 s")
    assert time.monotonic() - before < 10


def test_a_suspect_is_alone_under_a_stock_worker_too(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal, kind="basic.one")
    jobs.dispatch(next_job(ledger))
    (claim,) = ledger.take([], 1)
    ledger.renew([(claim.unit, claim.token)], lease=0)
    time.sleep(0.01)
    ledger.sweep()

    jobs.run(next_job(ledger))

    assert ledger.client.hget(ledger.keys.run(claim.unit), "alone") == str(claim.token + 2).encode()
