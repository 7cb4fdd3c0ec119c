"""Handlers that do what no handler should: it costs their own run, and the others a bounded delay."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.contract.seal import Seal
from tests.support.kit import accept, children_of, running, wait_for
from workers.ledger import query
from workers.ledger.transitions import Ledger


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.bad")
    return path


@contextlib.contextmanager
def working(ledger: Ledger) -> Iterator[int]:
    with running("workers.cli", "work", env={"WORKER_MEMORY": "700", "LOG_LEVEL": "error"}) as process:
        yield process.pid
        wait_for(lambda: not ledger.client.zcard(ledger.keys.name("running")))
        assert process.poll() is None


def ended(ledger: Ledger, event: str) -> tuple[str, str]:
    """How the event's only run ended, and with which error."""

    def final() -> tuple[str, str] | None:
        found = query.show(ledger, event)
        if not found or found["state"] in ("accepted", "dispatched"):
            return None
        return found["runs"][0]["state"], found["runs"][0]["error"]

    found: tuple[str, str] = wait_for(final, 60)
    return found


@pytest.mark.parametrize(
    ("kind", "state", "error"),
    [
        ("hangs", "dead", "TimeoutError: not done after 1 s"),
        ("swallows", "dead", "TimeoutError: not done after 1 s"),
        ("leaks", "dead", "MemoryError"),
        ("descriptors", "dead", "OSError: [Errno 24]"),
        ("forks", "done", ""),
        ("leaves-a-child", "dead", "quarantined: its process died alone: exit 0"),
        ("exits", "dead", "quarantined: its process died alone: exit 0"),
        ("base", "dead", "Base: no"),
        ("when", "dead", "SystemExit: 3"),
        ("task", "dead", "SystemExit: 3"),
        ("closes", "dead", "quarantined: its process died alone: exit 1"),
        ("stops", "dead", "TimeoutError: not done after 1 s"),
        ("keeps-the-lock", "dead", "TimeoutError: not done after 1 s"),
    ],
)
def test_it_costs_only_its_own_run(ledger: Ledger, seal: Seal, notes: Path, kind: str, state: str, error: str) -> None:
    innocents = [accept(ledger, seal, b'{"seconds": 2}', kind="good") for _ in range(4)]
    event = accept(ledger, seal, kind=f"bad.{kind}")
    with working(ledger) as pid:
        found = ended(ledger, event)
        assert found[0] == state
        assert found[1].startswith(error)
        assert {ended(ledger, innocent) for innocent in innocents} == {("done", "")}
        before = time.monotonic()
        assert ended(ledger, accept(ledger, seal, kind="good")) == ("done", "")
        assert time.monotonic() - before < 10
        children = set(children_of(pid))

    assert all(not Path(f"/proc/{child}").exists() for child in children)
    assert notes.read_text().count("good ") <= 9  # at most the one repeat that a death costs


def test_one_that_holds_the_loop_up_makes_no_other_run_repeat(ledger: Ledger, seal: Seal, notes: Path) -> None:
    """The neighbours' timeouts of two seconds pass while the loop stands still for six."""
    neighbours = [accept(ledger, seal, kind="good-async") for _ in range(5)]
    with working(ledger):
        wait_for(lambda: notes.read_text().count("good-async") == 5)
        event = accept(ledger, seal, kind="bad.blocks")
        assert ended(ledger, event) == ("done", "")
        assert {ended(ledger, neighbour) for neighbour in neighbours} == {("done", "")}

    assert len(notes.read_text().splitlines()) == 6
