"""Calls back into the API under faults: real workers, a real Redis, the sandbox in the role of Zyra, minutes of 1 s."""

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.disguise import CHANGES
from tests.support.kit import accept, children_of, running, wait_for
from tests.support.sandbox import KEY, PLENTY, Sandbox, playing
from workers.ledger import query
from workers.ledger.query import Filter
from workers.ledger.transitions import Ledger

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
SEED = int(os.environ.get("SEED", "7"))


@dataclass
class World:
    ledger: Ledger
    seal: Seal
    env: dict[str, str]

    def events(self, kind: str, number: int) -> list[str]:
        return [accept(self.ledger, self.seal, kind=kind) for _ in range(number)]

    def states(self) -> Counter[str]:
        return Counter(one["state"] for one in query.search(self.ledger, Filter(limit=10_000)))

    def runs(self) -> list[dict[str, Any]]:
        return [run for one in query.search(self.ledger, Filter(limit=10_000)) for run in one["runs"]]


@pytest.fixture
def world(own_ledger: Ledger, seal: Seal, env: dict[str, str], tmp_path: Path) -> World:
    (tmp_path / "pids").mkdir()
    (tmp_path / "key").write_text(KEY)
    client: redis.Redis = own_ledger.client
    more = {
        "REDIS_URL": f"unix://{client.connection_pool.connection_kwargs['path']}",
        "WORKER_HANDLERS": "tests.plugins.callers",
        "ZYRA_API_KEY_FILE": str(tmp_path / "key"),
        "ZYRA_API_MINUTE": "1",
        "PIDS": str(tmp_path / "pids"),
        "LOG_LEVEL": "warning",
    }
    return World(own_ledger, seal, {name: value for name, value in (env | more).items() if name != "ZYRA_API_KEY"})


@contextlib.contextmanager
def working(
    world: World, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, *options: str, **env: str
) -> Iterator[Any]:
    monkeypatch.delenv("ZYRA_API_KEY")
    with running("workers.cli", "work", *options, env=world.env | {"ZYRA_API_URL": sandbox.url} | env) as worker:
        yield worker


def most_in_a_minute(sandbox: Sandbox, limit: str) -> int:
    """The most calls of a class that the sandbox answered within any second."""
    times = sorted(float(str(one["at"])) for one in sandbox.calls() if one["limit"] == limit)
    return max((sum(begin <= at < begin + 1 for at in times) for begin in times), default=0)


def test_eight_workers_keep_within_one_keys_limits(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with playing(tmp_path, minute=1.0) as sandbox:
        world.events("call.read", 300)
        world.events("call.create", 60)
        with working(world, sandbox, monkeypatch, "--processes", "8", "--concurrency", "8"):
            wait_for(lambda: len(sandbox.calls()) >= 60, 60)
            time.sleep(12)  # six windows of a scaled minute and its margin
        log = sandbox.log()

    made = Counter(str(one["limit"]) for one in log)
    print("calls", made, "most a minute", most_in_a_minute(sandbox, "read"), most_in_a_minute(sandbox, "create"))
    assert most_in_a_minute(sandbox, "read") <= 30
    assert most_in_a_minute(sandbox, "create") <= 5
    assert [one for one in log if one["status"] == 429] == []
    assert made["read"] >= 90
    assert made["create"] >= 15
    assert not [run for run in world.runs() if run["state"] == "dead"]


def test_zyras_own_word_is_obeyed_to_the_second(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with playing(tmp_path, {"read": 3}, minute=4.0) as sandbox:
        world.events("call.read", 100)
        with working(world, sandbox, monkeypatch, "--processes", "4", "--concurrency", "1"):
            wait_for(lambda: any(one["status"] == 429 for one in sandbox.log()), 60)
            time.sleep(9)
        log = [(float(str(one["at"])), one["status"]) for one in sandbox.log()]

    first = next(at for at, status in log if status == 429)
    together = [at for at, status in log if status == 429 and at < first + 0.5]  # those under way already
    later = [at for at, _ in log if at > together[-1]]
    print("refused together", len(together), "then silence for", min(later, default=0) - first)
    assert len(together) <= 4
    assert later
    assert min(later) - first >= 3.9  # its three calls came at once, so Retry-After was 4 or 5


def test_after_the_first_hold_zyra_refuses_one_call_a_minute_at_most(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes, demand far above the budget, and a limit at Zyra that is a third of what we believe."""
    minute, believed, true = 5.0, 30, 10
    env = {"ZYRA_API_MINUTE": str(minute), "ZYRA_API_LIMITS": f"read={believed}"}
    with playing(tmp_path, {"read": true}, minute=minute) as sandbox:
        world.events("call.read", 300)
        with working(world, sandbox, monkeypatch, "--processes", "3", "--concurrency", "8", **env):
            wait_for(lambda: any(one["status"] == 429 for one in sandbox.log()), 60)
            time.sleep(10 * minute)
        log = [(float(str(one["at"])), one["status"]) for one in sandbox.log()]

    refused = [at for at, status in log if status == 429]
    later = [at for at in refused if at > refused[0] + 1]  # the others were under way already
    served = [at for at, status in log if status == 200]
    print("refused in the first hold", len(refused) - len(later), "later", len(later), "served", len(served))
    assert all(one - before > minute for before, one in itertools.pairwise(later))
    assert max(sum(begin <= at < begin + minute / 10 for at in served if at > refused[0]) for begin in served) <= 3
    assert len(served) > 40


@pytest.mark.parametrize("disguise", [*CHANGES])
def test_kills_among_three_calls_repeat_none_however_zyra_is(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disguise: str
) -> None:
    """60 kills at random points, whatever states, ids and answers look like: once, or a dead letter that says so."""
    draw, killed, seen = random.Random(SEED), list[int](), set[str]()
    plenty = {"ZYRA_API_LIMITS": "read=100000,create=100000"}
    with playing(tmp_path, PLENTY, minute=1.0, jitter=0.01, disguise=disguise) as sandbox:
        events = world.events("call.three", 90)
        with working(world, sandbox, monkeypatch, "--processes", "12", "--concurrency", "1", **plenty) as worker:

            def kill(pid: int) -> None:
                if pid in children_of(worker.pid):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

            until = time.monotonic() + 120
            while world.states() - Counter({"done": 90, "dead": 90}) and time.monotonic() < until:
                for began in (tmp_path / "pids").glob("*-1"):
                    if began.name not in seen and (text := began.read_text()):
                        seen.add(began.name)
                        threading.Timer(draw.uniform(0, 0.06), kill, [int(text)]).start()
                time.sleep(0.002)
        log = [one for one in sandbox.log() if one["status"] == 200 and one["method"] != "GET"]
        servers = sandbox.state.areas["virtual_servers"].values()
        made = Counter(str(row["note"]) for row in servers if "note" in row)

    calls = Counter((one["method"], one["path"]) for one in log if one["path"] != "/api/v1/virtual-servers")
    found = {one["id"]: one["runs"][0] for one in query.search(world.ledger, Filter(limit=1000))}
    dead = {name: run["error"] for name, run in found.items() if run["state"] == "dead"}
    print(
        disguise, "killed", len(killed), "states", world.states(), "errors", Counter(one[:60] for one in dead.values())
    )
    assert len(killed) >= 60
    assert {run["state"] for run in found.values()} <= {"done", "dead"}
    assert {one.partition(":")[0] for one in dead.values()} <= {"outcome-unknown"}
    assert max(made.values()) == 1
    assert max(calls.values()) == 1
    assert set(made) == set(events)
    assert disguise == "other words" or not dead


def test_a_worker_that_is_killed_between_two_calls_repeats_none(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First attempts have their process killed, each at a random point; the sandbox answers slowly now and then."""
    draw, killed, seen = random.Random(SEED), list[int](), set[str]()
    plenty = {"ZYRA_API_LIMITS": "read=100000,create=100000"}

    def kill(worker: int, pid: int) -> None:
        if pid in children_of(worker):
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    with playing(tmp_path, PLENTY, minute=1.0, jitter=0.01) as sandbox:
        pairs, blind = world.events("call.pair", 120), world.events("call.blind", 30)
        with working(world, sandbox, monkeypatch, "--processes", "12", "--concurrency", "1", **plenty) as worker:
            until, looked = time.monotonic() + 150, time.monotonic()
            while len(seen) < 150 and time.monotonic() < until:
                if time.monotonic() > looked + 2:  # a first attempt may die before it has left its note
                    looked = time.monotonic()
                    if not world.states() - Counter({"done": 150, "dead": 150}):
                        break
                for began in (tmp_path / "pids").glob("*-1"):
                    if began.name not in seen and (text := began.read_text()):
                        seen.add(began.name)
                        threading.Timer(draw.uniform(0, 0.04), kill, [worker.pid, int(text)]).start()
                time.sleep(0.002)
            wait_for(lambda: not world.states() - Counter({"done": 150, "dead": 150}), 120)
        servers = sandbox.state.areas["virtual_servers"].values()
        made = Counter(str(row["note"]) for row in servers if "note" in row)
        stops = Counter(str(one["path"]) for one in sandbox.calls("POST") if str(one["path"]).endswith("/stop"))

    found = {one["id"]: one["runs"][0] for one in query.search(world.ledger, Filter(limit=1000))}
    unknown = [name for name, run in found.items() if run["error"].startswith("outcome-unknown")]
    print("killed", len(killed), "states", world.states(), "unknown", len(unknown), "of the blind ones")
    assert len(killed) >= 100  # a few were quicker than their killer
    assert {run["state"] for run in found.values()} <= {"done", "dead"}
    assert [name for name, run in found.items() if run["state"] == "dead"] == unknown
    assert set(unknown) <= set(blind)  # where the name tells, all is found out
    assert max(made.values()) == 1
    assert max(stops.values()) == 1
    assert set(pairs) <= set(made)
    assert len(stops) >= 150 - len(unknown)


def test_a_revoked_key_kills_no_run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = "zyra_sk_replaced_0002"
    plenty = {"ZYRA_API_LIMITS": "read=100000,create=100000"}
    with playing(tmp_path, PLENTY, minute=1.0) as sandbox:
        sandbox.state.revoke(KEY)
        world.events("call.read", 1000)
        with working(world, sandbox, monkeypatch, "--processes", "4", "--concurrency", "8", **plenty) as worker:
            wait_for(lambda: world.ledger.client.zcard(world.ledger.keys.name("waiting")) >= 500, 60)
            time.sleep(6)  # they have come back by now, and wait again
            refused = [one for one in sandbox.log() if one["status"] == 401]
            assert world.states() == {"dispatched": 1000}
            sandbox.state.add_key(new)
            (tmp_path / "key").write_text(new)
            wait_for(lambda: world.states() == {"done": 1000}, 120)
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=60)

    print("refused calls", len(refused))
    assert said.count("Zyra refuses the API key") == 1
    assert len(refused) < 60
    assert not [run for run in world.runs() if run["state"] != "done"]
