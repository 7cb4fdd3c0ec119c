"""The parent, with processes that do exactly one thing."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.kit import Server, accept, dispatch, wait_for
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.ledger.units import Claim, Outcome, Verdict
from workers.runtime import process_watch as child_module
from workers.runtime import supervisor as module
from workers.runtime.pipe import Clock, Pipe, pack_outcome
from workers.runtime.process_watch import BEAT_SECONDS, HeldUnit, WatchedProcess
from workers.runtime.supervisor import Supervisor

SCRIPT = """
import os, signal, sys, time
fd, said, what = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.write(fd, said.encode())
while what == "deaf":
    time.sleep(0.2)
    os.write(fd, b'{"blocked_by": null}\\n')
if what == "silent":
    time.sleep(60)
if what == "mute":
    os.close(fd)
    time.sleep(60)
if what == "forks" and os.fork() == 0:
    time.sleep(20)
if what in ("dies", "forks"):
    time.sleep(1.5)
    os._exit(3)
if what == "broken":
    os._exit(2)
while b"drain" not in os.read(fd, 9999):
    pass
"""


def announce(ticket: Sequence[Any], left: float, verdict: str, delay: float, error: str, in_loop: bool) -> list[Any]:
    """An attempt that began, as its process announces it."""
    unit, token = ticket
    charge = Outcome(unit=unit, token=token, verdict=Verdict(verdict), delay=delay, error=error)
    return [left, pack_outcome(charge), in_loop]


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
    for name, value in {
        "GRACE_SECONDS": 0.5,
        "RENEW_SECONDS": 0.3,
        "SWEEP_SECONDS": 0.2,
        "LOOK_SECONDS": 0.1,
        "STOP_GRACE_SECONDS": 2.0,
    }.items():
        monkeypatch.setattr(module, name, value)
    for name, value in {"PREPARE_SECONDS": 1.0, "SLACK_SECONDS": 0.1, "SILENT_SECONDS": 3.0}.items():
        monkeypatch.setattr(child_module, name, value)


Running = Callable[..., Supervisor]


@pytest.fixture
def running(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    threads: list[tuple[Supervisor, threading.Thread]] = []
    monkeypatch.setattr("signal.set_wakeup_fd", lambda *_, **__: -1)  # only the main thread may

    def start(fakes: Fakes, on: Ledger | None = None) -> Supervisor:
        parent = Supervisor(on or ledger, fakes.start)
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
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    return ledger.take([], 1)[0]


def held(claim: Claim) -> list[Any]:
    return [claim.unit, claim.token, claim.failures]


def key(claim: Claim) -> list[Any]:
    return [claim.unit, claim.token]


def run_of(ledger: Ledger, claim: Claim) -> dict[str, Any]:
    found = query.show(ledger, claim.event)
    assert found is not None
    run: dict[str, Any] = found["runs"][0]
    return run


def test_leases_are_renewed_and_lost_ones_told(
    ledger: Ledger, seal: Seal, running: Running, client: redis.Redis
) -> None:
    claim = a_run(ledger, seal)
    fakes = Fakes(([{"held": [held(claim), ["evt_other", 1, 0]]}], "deaf"))
    client.zadd(ledger.keys.name("running"), {claim.unit: 1})
    parent = running(fakes)

    wait_for(lambda: client.zscore(ledger.keys.name("running"), claim.unit) > 1)
    assert time.monotonic() - parent._clock.get() < 5


def test_what_is_never_prepared_fails_and_its_process_is_replaced(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim, neighbour = a_run(ledger, seal), a_run(ledger, seal)
    claimed = [{"held": [held(claim), held(neighbour)]}]
    started = [{"started": [announce(key(neighbour), 60, "failed", 1, "late", False)]}]
    fakes = Fakes((claimed + started, "deaf"))
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
    parent = running(Fakes(([{"held": [held(claim)]}], "deaf")))
    parent.sweeper.contact_since = time.monotonic() - 60

    wait_for(lambda: client.hget(ledger.keys.event(event), "deaths") == b"1")


def test_a_run_alone_that_is_late_pays_at_once(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    first = [{"held": [held(claim)]}, {"isolate": key(claim)}]
    late = [{"started": [announce(key(claim), 0.2, "dead", 0, "TimeoutError", False)]}]
    fakes = Fakes((first, "obedient"), (late, "deaf"))
    running(fakes)

    wait_for(lambda: run_of(ledger, claim)["state"] == "dead")
    assert fakes.started[1] == (claim.unit, claim.token)


def test_what_waits_for_a_process_of_its_own_is_handed_back_at_the_end(
    ledger: Ledger, seal: Seal, running: Running
) -> None:
    claims = [a_run(ledger, seal) for _ in range(module.MAX_ALONE + 2)]
    messages = [{"held": [held(claim)], "isolate": key(claim)} for claim in claims]
    parent = running(Fakes((messages, "obedient")))
    wait_for(lambda: len(parent.children) == module.MAX_ALONE + 1 and len(parent.waiting) == 2)

    parent.stop()

    wait_for(lambda: [run_of(ledger, claim)["state"] for claim in claims].count("queued") >= 2)


def test_ended_units_are_forgotten(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    messages = [{"held": [held(claim)]}, {"ended": [key(claim)]}]
    parent = running(Fakes((messages, "obedient")))

    wait_for(lambda: parent.children and not any(child.held for child in list(parent.children.values())))


def test_asked_twice_it_kills(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"held": [held(claim)]}], "deaf")))
    wait_for(lambda: any(child.held for child in list(parent.children.values())))

    parent.stop()
    time.sleep(0.3)
    parent.stop()

    wait_for(lambda: run_of(ledger, claim)["state"] == "queued")


def test_an_outage_is_lived_through(own_server: Server, own_ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(own_ledger, seal)
    messages = [
        {"held": [held(claim)]},
        {"started": [announce(key(claim), 1, "failed", 60, "late", False)]},
    ]
    running(Fakes((messages, "deaf")), own_ledger)
    time.sleep(0.5)
    own_server.stop()
    time.sleep(2)
    own_server.start()

    wait_for(lambda: run_of(own_ledger, claim)["state"] == "waiting")


def test_a_process_that_dies_during_an_outage(
    own_server: Server, own_ledger: Ledger, seal: Seal, running: Running
) -> None:
    claim = a_run(own_ledger, seal)
    parent = running(Fakes(([{"held": [held(claim)]}], "dies")), own_ledger)
    first = wait_for(lambda: [pid for pid, child in list(parent.children.items()) if child.held])[0]
    own_server.stop()

    wait_for(lambda: first not in parent.children)
    own_server.start()

    assert parent.sweeper.contact_since == 0 or time.monotonic() - parent.sweeper.contact_since < 5


def test_without_redis_it_still_ends(own_server: Server, own_ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(own_ledger, seal)
    parent = running(Fakes(([{"held": [held(claim)]}], "deaf")), own_ledger)
    wait_for(lambda: any(child.held for child in list(parent.children.values())))
    own_server.stop()

    parent.stop()
    parent.stop()


def test_a_process_whose_child_outlives_it_is_missed(ledger: Ledger, seal: Seal, running: Running) -> None:
    """A handler that forks: the pipe stays open, and still the process is seen to be gone."""
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"held": [held(claim)]}], "forks")))
    parent.sweeper.contact_since = time.monotonic() - 60

    wait_for(lambda: ledger.client.hget(ledger.keys.run(claim.unit), "suspect") == b"1", 10)


@pytest.mark.parametrize("what", ["silent", "mute"])
def test_a_process_that_does_not_speak_is_ended_and_nobody_pays(
    ledger: Ledger, seal: Seal, running: Running, what: str
) -> None:
    claims = [a_run(ledger, seal) for _ in range(2)]
    said = [{"held": [held(claim) for claim in claims]}]
    said += [{"started": [announce(key(claim), 1, "dead", 0, "", False)]} for claim in claims]
    parent = running(Fakes((said, what)))
    parent.sweeper.contact_since = time.monotonic() - 60

    wait_for(lambda: [ledger.client.hget(ledger.keys.run(claim.unit), "suspect") for claim in claims] == [b"1"] * 2, 10)
    assert [run_of(ledger, claim)["state"] for claim in claims] == ["queued"] * 2


def test_a_process_alone_that_never_records_its_end_is_ended(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    first = [{"held": [held(claim)]}, {"isolate": key(claim)}]
    over = [{"started": [announce(key(claim), 9, "dead", 0, "", False)]}, {"over": [key(claim)]}]
    running(Fakes((first, "obedient"), (over, "silent"), ([], "silent")))

    wait_for(lambda: ledger.client.hget(ledger.keys.run(claim.unit), "kills") == b"1", 10)


def test_more_than_may_wait_for_a_process_of_their_own_wait_in_the_ledger(
    ledger: Ledger, seal: Seal, running: Running
) -> None:
    claims = [a_run(ledger, seal) for _ in range(module.MAX_ALONE + module.MAX_WAITING_ALONE + 3)]
    messages = [{"held": [held(claim)], "isolate": key(claim)} for claim in claims]
    parent = running(Fakes((messages, "obedient"), *[([], "silent")] * module.MAX_ALONE))

    def put_off() -> list[dict[str, Any]]:
        return [run for run in (run_of(ledger, claim) for claim in claims) if run["state"] == "waiting"]

    wait_for(lambda: sum(run["attempts"] == 0 and not run["error"] for run in put_off()) >= 3)
    assert len(parent.waiting) <= module.MAX_WAITING_ALONE


def test_a_run_that_is_lost_waits_for_nothing(ledger: Ledger, seal: Seal, running: Running) -> None:
    claims = [a_run(ledger, seal) for _ in range(module.MAX_ALONE + 2)]
    messages = [{"held": [held(claim)], "isolate": key(claim)} for claim in claims]
    parent = running(Fakes((messages, "obedient"), *[([], "silent")] * module.MAX_ALONE))
    wait_for(lambda: len(parent.waiting) == 2)

    for unit, _ in list(parent.waiting):
        ledger.client.hincrby(ledger.keys.run(unit), "token", 1)

    wait_for(lambda: not parent.waiting)


def test_what_nobody_holds_is_not_isolated(ledger: Ledger, seal: Seal, running: Running) -> None:
    claim = a_run(ledger, seal)
    parent = running(Fakes(([{"isolate": key(claim)}, {"held": [held(claim)]}], "obedient")))

    wait_for(lambda: any(child.held for child in list(parent.children.values())))
    assert not parent.waiting


def test_a_process_that_wants_to_leave_is_replaced(ledger: Ledger, running: Running) -> None:
    fakes = Fakes(([{"leaves": "it holds 900 MiB"}], "obedient"))
    running(fakes)

    wait_for(lambda: len(fakes.started) >= 2)


def test_modules_that_do_not_import_in_a_process_alone_cost_its_run_nothing(
    ledger: Ledger, seal: Seal, running: Running
) -> None:
    claim = a_run(ledger, seal)
    messages = [{"held": [held(claim)], "isolate": key(claim)}]
    parent = running(Fakes((messages, "obedient"), ([{"broken": "no"}], "broken")))

    wait_for(lambda: run_of(ledger, claim)["state"] == "queued")
    assert run_of(ledger, claim)["attempts"] == 0
    assert parent.broken == "no"


def test_an_innocent_dispatch_pays_nothing(ledger: Ledger, seal: Seal, running: Running, client: redis.Redis) -> None:
    claim = a_run(ledger, seal)
    event = accept(ledger, seal)
    (neighbour,) = ledger.take([], 1)
    messages = [
        {"held": [held(claim)]},
        {"started": [announce(key(claim), 0.1, "dead", 0, "late", False)]},
        {"held": [held(neighbour)]},
    ]
    parent = running(Fakes((messages, "deaf")))
    parent.sweeper.contact_since = time.monotonic() - 60

    wait_for(lambda: client.zscore(ledger.keys.name("pending"), event))
    assert client.hget(ledger.keys.event(event), "deaths") is None


def test_one_that_holds_the_loop_up_takes_no_time_from_its_neighbours() -> None:
    child = WatchedProcess(1, None, alone=False, born=0.0, heard=0.0)  # type: ignore[arg-type]
    child.take_in({"held": [["a", 1, 0], ["b", 1, 0], ["c", 1, 0]]})
    for unit in "ab":
        child.take_in({"started": [announce((unit, 1), 5, "failed", 0, "", True)]})
    child.take_in({"started": [announce(("c", 1), 5, "failed", 0, "", False)]})
    before = {unit: one.late_at for (unit, _), one in child.held.items()}

    child.take_in({"blocked_by": ["a", 1]})
    child.take_in({"blocked_by": None})

    after = {unit: one.late_at - before[unit] for (unit, _), one in child.held.items()}
    assert after == {"a": 0.0, "b": pytest.approx(BEAT_SECONDS), "c": 0.0}


def test_the_eighth_attempt_that_is_never_prepared_is_the_last() -> None:
    held = HeldUnit("evt_1-x", 1, failures=7)

    payment = held.make_penalty()

    assert payment.verdict == "dead"


def test_large_numbers_are_worked_off_in_parts_without_waiting_for_the_next_sweep(
    ledger: Ledger, running: Running, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SWEEP_SECONDS", 30.0)
    final = ledger.keys.name("final")
    client.zadd(final, {f"evt_{number:026d}": 1 for number in range(1200)})

    running(Fakes())

    wait_for(lambda: not client.exists(final), 5)
