"""RQ's key prefix: the one of the ledger, whoever imports RQ and however."""

import json
import os
import subprocess
import sys

import pytest

from receiver.contract.errors import ConfigurationError
from receiver.contract.jobs import LedgerQueue
from receiver.contract.rq_names import refuse_other_prefix
from tests.support.kit import ROOT, run

PRINT = "import os; from rq.queue import Queue; print(Queue.redis_queues_keys, os.environ.get('RQ_KEY_PREFIX'))"


def ask(module: str, **env: str) -> list[str]:
    """RQ's key of queues once our module is imported, and what the environment then says."""
    full = {name: value for name, value in os.environ.items() if name not in ("QUEUE", "RQ_KEY_PREFIX")} | env
    command = [sys.executable, "-c", f"import {module}; {PRINT}"]
    return subprocess.run(command, env=full, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("module", ["receiver.contract.jobs", "workers.worker", "workers.runtime.worker"])
@pytest.mark.parametrize(
    ("env", "found"),
    [
        ({}, ["{events}:rq:queues", "None"]),
        ({"QUEUE": "bills"}, ["{bills}:rq:queues", "None"]),
        ({"QUEUE": "bills", "RQ_KEY_PREFIX": "x:{bills}"}, ["x:{bills}:queues", "x:{bills}"]),
        ({"QUEUE": "a b"}, ["{events}:rq:queues", "None"]),  # refused where the settings are read
        ({"RQ_KEY_PREFIX": "a b"}, ["{events}:rq:queues", "a"]),
    ],
)
def test_rq_is_imported_with_the_prefix_of_the_ledger(module: str, env: dict[str, str], found: list[str]) -> None:
    assert ask(module, **env)[:2] == found


def test_a_worker_that_would_wait_in_vain_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"set QUEUE=bills and RQ_KEY_PREFIX=\{bills\}:rq before"):
        LedgerQueue("bills")
    refuse_other_prefix("events")


@pytest.mark.parametrize("command", [["serve"], ["work"], ["check"], ["health", "--role", "worker"], ["status"]])
def test_a_prefix_of_another_slot_is_refused_with_the_line_to_set(env: dict[str, str], command: list[str]) -> None:
    found = run("workers.cli", *command, env={"RQ_KEY_PREFIX": "rq"})

    assert found.returncode == 2
    assert read_error(found.stderr) == (
        f"RQ_KEY_PREFIX must hold {{{env['QUEUE']}}}, since RQ's keys share the slot of the ledger: leave it out, "
        f"or set RQ_KEY_PREFIX={{{env['QUEUE']}}}:rq, not 'rq'"
    )


def read_error(said: str) -> str:
    """The one error of a command, or of a service, whose log is JSON in a pipe."""
    (line,) = said.splitlines()
    return str(json.loads(line)["text"]) if line.startswith("{") else line.removeprefix("error: ")


def test_a_prefix_that_rq_does_not_take_is_refused(env: dict[str, str]) -> None:
    found = run("workers.cli", "work", env={"RQ_KEY_PREFIX": "a b"})

    assert (found.returncode, read_error(found.stderr)) == (
        2,
        "RQ_KEY_PREFIX must be letters, digits and _ . : - { } only: 'a b'",
    )
