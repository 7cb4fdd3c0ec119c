"""What a stock RQ worker calls, called in this process."""

import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.contract.connection import decode_text
from receiver.contract.seal import Seal
from tests.support.kit import accept, run
from workers import Router, jobs
from workers.ledger import query
from workers.ledger.transitions import Ledger


@pytest.fixture(autouse=True)
def fresh(env: dict[str, str]) -> Iterator[None]:
    jobs.load_worker.cache_clear()
    jobs.load_clients.cache_clear()
    yield
    jobs.load_worker()[0].client.close()
    jobs.load_worker.cache_clear()


def next_job(ledger: Ledger) -> str:
    return decode_text(ledger.client.lpop(ledger.keys.jobs))


def test_a_long_run_keeps_its_lease(
    ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.3)
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
    jobs.refuse("evil")

    assert ledger.client.hget(ledger.keys.name("counters"), "jobs_refused") == b"1"


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


OPTIONS = """
import asyncio, time
from workers import Event, Router
router = Router()

@router.on("a.b", "a.c", name="types-and-name")
def types_and_name(event): ...

@router.on("*", source="elsewhere")
def source(event): ...

@router.on("a.b", when=lambda event: event.payload.get("wanted"))
def when(event): ...

@router.on("a.b", timeout=0.3, max_attempts=1)
def timeout(event): time.sleep(3)

@router.on("a.b", timeout=0.3, max_attempts=1)
async def async_timeout(event): await asyncio.sleep(3)

@router.on("a.b", max_attempts=1)
def max_attempts(event): raise ValueError("no")

@router.on("a.b", concurrency=1)
def concurrency(event): ...

@router.on("a.b", ordered=True, on_dead="stop")
def ordered(event): ...

@router.on("a.b", isolated=True)
def isolated(event): ...

@router.on("a.b", reconciled=True)
def reconciled(event): ...
"""


def outcomes(ledger: Ledger, events: list[str]) -> list[dict[str, tuple[str, str]]]:
    """By event: its runs by handler, with state and error."""
    found = [query.show(ledger, event) for event in events]
    return [
        {run["handler"].removeprefix("every_option."): (run["state"], run["error"]) for run in one["runs"]}
        for one in found
        if one
    ]


def test_every_option_of_on_means_the_same_to_a_stock_worker(
    ledger: Ledger, seal: Seal, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"types", *inspect.signature(Router().on).parameters} == {
        "types", "source", "name", "when", "timeout", "max_attempts", "concurrency", "isolated", "reconciled", "unlisted",
        "retries", "backoff", "delay", "key", "rate", "debounce", "at_most", "keep", "newest", "ordered", "on_dead",
    }  # fmt: skip
    (tmp_path / "every_option.py").write_text(OPTIONS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("WORKER_HANDLERS", "every_option")

    def make() -> list[str]:
        bodies = (b"{}", b'{"wanted": true}')
        return [
            *(accept(ledger, seal, body, kind="a.b") for body in bodies),
            accept(ledger, seal, kind="a.c"),
            accept(ledger, seal, kind="a.b", source="elsewhere"),
            accept(ledger, seal, kind="a.b", origin="reconciled"),
        ]

    stock = make()
    while job := ledger.client.lpop(ledger.keys.jobs):
        (jobs.dispatch if decode_text(job).partition("-")[2] in stock else jobs.run)(decode_text(job))
    own = make()
    made = run(
        "workers.cli",
        "work",
        "--burst",
        "--concurrency",
        "1",
        env=env | {"WORKER_HANDLERS": "every_option", "PYTHONPATH": str(tmp_path)},
    )

    assert made.returncode == 0, made.stderr
    assert outcomes(ledger, stock) == outcomes(ledger, own)
    assert outcomes(ledger, own)[1] == {
        "types-and-name": ("done", ""), "when": ("done", ""), "concurrency": ("done", ""), "isolated": ("done", ""),
        "reconciled": ("done", ""), "ordered": ("done", ""), "timeout": ("dead", "TimeoutError: not done after 0.3 s"),
        "async_timeout": ("dead", "TimeoutError: not done after 0.3 s"), "max_attempts": ("dead", "ValueError: no"),
    }  # fmt: skip
    assert [list(one) for one in outcomes(ledger, own)[2:]] == [["types-and-name"], ["source"], ["reconciled"]]
