"""The parent, with processes that do exactly one thing."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.kit import Server, accept, wait_for
from workers import parent as module
from workers import query
from workers.ledger import Claim, Ledger
from workers.parent import Parent
from workers.pipe import Clock, Pipe

SCRIPT = """
import os, signal, sys, time
fd, said, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.write(fd, said.encode())
if what == "deaf":
    time.sleep(60)
if what == "dies":
    time.sleep(1.5)
    os._exit(3)
while b"drain" not in os.read(fd, 9999):
    pass
"""


class Fakes:
    """Starts processes that say what they are told to say, and then wait for the word to end, or for nothing."""

    def __init__(self, *saying: tuple[list[dict[str, Any]], str]) -> None:
        self.saying = list(saying)
        self.started: list[tuple[str, int] | None] = []

    def start(self, pipe: Pipe, clock: Clock, unit: tuple[str, int] | None, ends: list[Pipe]) -> int:
        self.started.append(unit)
        messages, what = self.saying.pop(0) if self.saying else ([], "obedient")
        said = "".join(json.dumps(message) + "\n" for message in messages)
        command = [sys.executable, "-S", "-c", SCRIPT, str(pipe.fileno()), said, what]
        process = subprocess.Popen(command, pass_fds=[pipe.fileno()])
        process.returncode = 0  # the parent waits for it
        return process.pid


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PREPARE": 1.0, "GRACE": 0.5, "SLACK": 0.1, "EVERY": 0.3, "SWEEP": 0.2, "TICK": 0.1}.items():
        monkeypatch.setattr(module, name, value)


Running = Callable[..., Parent]


@pytest.fixture
def running(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    threads: list[tuple[Parent, threading.Thread]] = []
    monkeypatch.setattr(module.signal, "set_wakeup_fd", lambda *_, **__: -1)  # only the main thread may

    def start(fakes: Fakes, on: Ledger | None = None) -> Parent:
        parent = Parent(on or ledger, fakes.start)
        thread = threading.Thread(target=parent.run)
        thread.start()
        threads.append((parent, thread))
        return parent

    yield start
    for parent, thread in threads:
        parent.stop()
        thread.join(20)
        parent.stop()
        thread.join(20)
        assert not thread.is_alive()


def a_run(ledger: Ledger, seal: Seal) -> Claim:
    accept(ledger, seal)
    ledger.dispatched(ledger.take([], 1)[0], "dispatched", "", ["a"])
    return ledger.take([], 1)[0]


def run_of(ledger: Ledger, claim: Claim) -> dict[str, Any]:
    found = query.show(ledger, claim.event)
    assert found is not None
    run: dict[str, Any] = found["runs"][0]
    return run


def test_leases_are_renewed_and_lost_ones_told(
    ledger: Ledger, seal: Seal, running: Running, client: redis.Redis
) -> None:
    claim = a_run(ledger, seal)
    fakes = Fakes(([{"held": [[claim.unit, claim.token], ["evt_other", 1]]}], "deaf"))
    client.zadd(ledger.keys.named("running"), {claim.unit: 1})
    parent = running(fakes)

    wait_for(lambda: client.zscore(ledger.keys.named("running"), claim.unit) > 1)
    assert time.monotonic() - parent._clock.get() < 5


def test_what_is_never_prepared_fails_and_its_process_is_replaced(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim, neighbour = a_run(ledger, seal), a_run(ledger, seal)
    held = [{"held": [[claim.unit, claim.token], [neighbour.unit, neighbour.token]]}]
    started = [{"started": neighbour.unit, "timeout": 60, "late": ["failed", 1, "late"]}]
    fakes = Fakes((held + started, "deaf"))
    running(fakes)

    wait_for(lambda: run_of(ledger, claim)["state"] == "waiting")
    assert run_of(ledger, claim)["error"] == "not prepared in time: does its `when` end?"
    wait_for(lambda: run_of(ledger, neighbour)["state"] == "queued")  # handed back at no cost
    assert run_of(ledger, neighbour)["attempts"] == 0
    assert len(fakes.started) >= 2


def test_a_dispatch_that_hangs_counts_as_a_death(
    ledger: Ledger, seal: Seal, running: Running, client: redis.Redis
) -> None:
    event = accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    parent = running(Fakes(([{"held": [[event, claim.token]]}], "deaf")))
    parent.sweeper.contact_since = time.monotonic() - 60

    wait_for(lambda: client.hget(ledger.keys.event(event), "deaths") == b"1")


def test_a_run_alone_that_is_late_pays_at_once(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    first = [{"held": [[claim.unit, claim.token]]}, {"isolate": claim.unit, "token": claim.token}]
    late = [{"started": claim.unit, "timeout": 0.2, "late": ["dead", 0, "TimeoutError"]}]
    fakes = Fakes((first, "obedient"), (late, "deaf"))
    running(fakes)

    wait_for(lambda: run_of(ledger, claim)["state"] == "dead")
    assert fakes.started[1] == (claim.unit, claim.token)


def test_what_waits_for_a_process_of_its_own_is_handed_back_at_the_end(
    ledger: Ledger, seal: Seal, running: Running
) -> None:
    claims = [a_run(ledger, seal) for _ in range(6)]
    messages = [{"isolate": claim.unit, "token": claim.token} for claim in claims]
    parent = running(Fakes((messages, "obedient")))
    wait_for(lambda: len(parent.children) == 5 and len(parent.waiting) == 2)

    parent.stop()

    wait_for(lambda: [run_of(ledger, claim)["state"] for claim in claims].count("queued") >= 2)


def test_ended_units_are_forgotten(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    messages = [{"held": [[claim.unit, claim.token]]}, {"ended": [claim.unit]}]
    parent = running(Fakes((messages, "obedient")))

    wait_for(lambda: parent.children and not any(child.held for child in list(parent.children.values())))


def test_asked_twice_it_kills(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"held": [[claim.unit, claim.token]]}], "deaf")))
    wait_for(lambda: any(child.held for child in list(parent.children.values())))

    parent.stop()
    time.sleep(0.3)
    parent.stop()

    wait_for(lambda: run_of(ledger, claim)["state"] == "queued")


def test_an_outage_is_lived_through(own_server: Server, keys: Keys, seal: Seal, running: Running) -> None:
    ledger = Ledger(connect(own_server.url), keys)
    claim = a_run(ledger, seal)
    messages = [
        {"held": [[claim.unit, claim.token]]},
        {"started": claim.unit, "timeout": 1, "late": ["failed", 60, "late"]},
    ]
    running(Fakes((messages, "deaf")), ledger)
    time.sleep(0.5)
    own_server.stop()
    time.sleep(2)
    own_server.start()

    wait_for(lambda: run_of(ledger, claim)["state"] == "waiting")


def test_a_process_that_dies_during_an_outage(own_server: Server, keys: Keys, seal: Seal, running: Running) -> None:
    ledger = Ledger(connect(own_server.url), keys)
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"held": [[claim.unit, claim.token]]}], "dies")), ledger)
    first = wait_for(lambda: [pid for pid, child in list(parent.children.items()) if child.held])[0]
    own_server.stop()

    wait_for(lambda: first not in parent.children)
    own_server.start()

    assert parent.sweeper.contact_since == 0 or time.monotonic() - parent.sweeper.contact_since < 5


def test_without_redis_it_still_ends(own_server: Server, keys: Keys, seal: Seal, running: Running) -> None:
    ledger = Ledger(connect(own_server.url), keys)
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"held": [[claim.unit, claim.token]]}], "deaf")), ledger)
    wait_for(lambda: any(child.held for child in list(parent.children.values())))
    own_server.stop()

    parent.stop()
    parent.stop()
