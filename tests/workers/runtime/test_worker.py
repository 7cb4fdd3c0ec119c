"""Real workers on a real queue: what handlers may do, and what it costs."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from receiver.contract.connection import connect
from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import ROOT, accept, free_port, run, running, wait_for
from tests.support.other_server import listening
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.runtime.worker import Worker, to_list


@pytest.fixture
def notes(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """What the handlers of tests.plugins.basic wrote about an event."""
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    return lambda event: [line.partition(" ")[2] for line in path.read_text().splitlines() if line.startswith(event)]


@contextlib.contextmanager
def working(*options: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    with running("workers.cli", "work", *options, env=env) as process:
        yield process


def ended(ledger: Ledger, event: str, seconds: float = 30) -> dict[str, Any]:
    def final() -> dict[str, Any] | None:
        found = query.show(ledger, event)
        return found if found and found["state"] not in ("accepted", "dispatched") else None

    found: dict[str, Any] = wait_for(final, seconds)
    return found


def runs(found: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(run["handler"], run["state"], run["attempts"]) for run in found["runs"]]


def hurry(ledger: Ledger) -> None:
    """Makes all that waits due now."""
    for unit in ledger.client.zrange(ledger.keys.name("waiting"), 0, -1):
        ledger.client.zadd(ledger.keys.name("waiting"), {unit: 1}, xx=True)


Notes = Callable[[str], list[str]]


def test_one_failing_handler_beside_two_good_ones(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, kind="basic.two")
    with working():
        wait_for(lambda: len(notes(event)) >= 3)
        found = wait_for(
            lambda: (
                (f := query.show(ledger, event))
                and sorted(r["state"] for r in f["runs"]) == ["done", "done", "waiting"]
                and f
            )
        )
        assert runs(found) == [("good", "done", 1), ("also-good", "done", 1), ("flaky", "waiting", 1)]
        assert found["runs"][2]["error"] == "ValueError: not yet"
        assert found["runs"][2]["next_attempt_at"] > found["received_at"]
        while query.show(ledger, event)["state"] == "dispatched":  # type: ignore[index]
            hurry(ledger)
            time.sleep(0.2)

    assert runs(ended(ledger, event)) == [("good", "done", 1), ("also-good", "done", 1), ("flaky", "done", 3)]
    assert sorted(notes(event)) == [
        "also-good 1 False", "flaky 1 False", "flaky 2 False", "flaky 3 False", "good 1 False",
    ]  # fmt: skip


def test_a_worker_whose_record_is_gone_registers_again(ledger: Ledger, keys: Keys, env: dict[str, str]) -> None:
    """It was out of reach for longer than its record lives."""
    workers = f"{keys.rq_prefix}:workers:{keys.queue}"

    def record() -> str | None:
        names = [name.decode() for name in ledger.client.smembers(workers)]
        return next((name for name in names if ledger.client.hexists(name, "birth")), None)

    with working():
        name = wait_for(record, 20)
        ledger.client.delete(name)
        ledger.client.srem(workers, name)

        assert wait_for(record, 20) == name


def test_give_up_is_dead_at_once_and_replay_tries_again(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, kind="hopeless")
    with working():
        assert runs(ended(ledger, event)) == [("hopeless", "dead", 1)]
        assert ledger.replay(event) == ("replayed", 1)
        assert ended(ledger, event)["state"] == "done"

    assert notes(event) == ["hopeless 1 False", "hopeless 1 True"]


def test_retry_later_waits_as_long_as_it_says(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, kind="later")
    with working():
        assert runs(ended(ledger, event)) == [("later", "done", 2)]


def test_late_attempts_pay_and_their_process_is_replaced(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    late, later = accept(ledger, seal, kind="slow"), accept(ledger, seal, kind="slow-async")
    with working() as process:
        assert runs(ended(ledger, late)) == [("slow", "dead", 1)]
        assert runs(ended(ledger, later)) == [("slow-async", "dead", 1)]
        event = accept(ledger, seal, kind="basic.one")
        assert ended(ledger, event)["state"] == "done"
        process.send_signal(signal.SIGTERM)
        process.wait(10)

    found = query.show(ledger, late)
    assert found is not None
    assert found["runs"][0]["error"] == "TimeoutError: not done after 1 s"


def test_neighbours_of_a_late_attempt_end_once(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    late = accept(ledger, seal, kind="slow")
    others = [accept(ledger, seal, b'{"seconds": 4}', kind="short") for _ in range(3)]
    with working():
        assert {ended(ledger, event)["state"] for event in others} == {"done"}
        assert ended(ledger, late)["state"] == "dead"

    assert [len(notes(event)) for event in others] == [1, 1, 1]


def test_an_exit_ends_an_attempt_and_not_the_worker(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event, other = accept(ledger, seal, kind="exit"), accept(ledger, seal, kind="basic.one")
    with working():
        assert ended(ledger, other)["state"] == "done"
        found = wait_for(lambda: (f := query.show(ledger, event)) and f["runs"] and f["runs"][0]["error"] and f)

    assert runs(found) == [("exit", "waiting", 1)]
    assert found["runs"][0]["error"] == "SystemExit: 3"


def test_isolated_handlers_have_processes_of_their_own(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    events = [accept(ledger, seal, kind="alone") for _ in range(6)]
    with working():
        assert {ended(ledger, event)["state"] for event in events} == {"done"}

    assert len({note for event in events for note in notes(event)}) == 6


def test_one_that_dies_alone_is_quarantined_with_its_evidence(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event, other = accept(ledger, seal, kind="dies"), accept(ledger, seal, kind="basic.one")
    with working():
        found = ended(ledger, event)
        assert ended(ledger, other)["state"] == "done"

    assert runs(found) == [("dies", "dead", 3)]
    assert found["runs"][0]["error"] == "quarantined: its process died alone: signal 11"


def test_a_process_that_dies_makes_suspects_that_run_alone(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, kind="dies-once")
    others = [accept(ledger, seal, b'{"seconds": 1}', kind="short") for _ in range(3)]
    with working():
        time.sleep(0)
        found = ended(ledger, event, 60)
        assert {ended(ledger, other)["state"] for other in others} == {"done"}

    assert runs(found) == [("dies-once", "done", 2)]
    assert all(len(notes(other)) <= 2 for other in others)


def test_concurrency_holds_across_processes(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    events = [accept(ledger, seal, kind="pause") for _ in range(3)]
    with working("--processes", "2"):
        for event in events:
            assert runs(ended(ledger, event)) == [("pause", "done", 1)]

    lines = Path(os.environ["NOTES"]).read_text().split("\n")
    starts = [line.split()[1] for line in lines if line]
    assert starts == ["pause-start", "pause-end"] * 3


def test_the_api_client_is_passed_and_its_failure_is_ordinary(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, kind="calls")
    with working():
        found = wait_for(
            lambda: (f := query.show(ledger, event)) and all(r["error"] for r in f["runs"]) and f["runs"] and f
        )

    assert [run["state"] for run in found["runs"]] == ["waiting", "dead"]
    assert "Unreachable" in found["runs"][0]["error"]
    assert "calls-sync-True 1 False" in notes(event)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"1" * 5000,
        b'{"a": 1e999, "b": NaN}',
        b'{"id": 1, "id": 2}',
        b'{"a": "\\ud800\\u0000"}',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xe9"}',
        b"{" + b",".join(b'"k%d": 1' % n for n in range(60_000)) + b"}",
        b'"text"',
        b"[1]",
        b"5",
        b'{"id": true}',
        b'{"id": {"a": 1}}',
    ],
    ids=range(15),
)
def test_hostile_bodies_stop_no_worker(ledger: Ledger, seal: Seal, notes: Notes, body: bytes) -> None:
    event, after = accept(ledger, seal, body, kind="basic.one"), accept(ledger, seal, kind="basic.one")
    with working("--burst"):
        assert ended(ledger, event)["state"] in ("done", "unreadable")
        assert ended(ledger, after)["state"] == "done"


def test_sigterm_lets_what_runs_end_and_takes_nothing_new(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, b'{"seconds": 1.5}', kind="short")
    with working() as process:
        wait_for(lambda: notes(event))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        waiting = accept(ledger, seal, kind="basic.one")
        process.wait(15)

    assert runs(ended(ledger, event)) == [("short", "done", 1)]
    assert query.show(ledger, waiting)["state"] == "accepted"  # type: ignore[index]


def test_a_worker_killed_whole_loses_nothing(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    event = accept(ledger, seal, b'{"seconds": 1}', kind="short")
    with working() as process:
        wait_for(lambda: notes(event))
        process.kill()
        process.wait()
    killed = time.monotonic()
    with working():
        assert runs(ended(ledger, event, 60)) == [("short", "done", 2)]

    assert time.monotonic() - killed < 32


def test_redis_restarts_under_a_worker(own_server: Any, env: dict[str, str], seal: Seal, notes: Notes) -> None:
    ledger = Ledger(connect(own_server.url, ""), Keys(env["QUEUE"]))
    event = accept(ledger, seal, b'{"seconds": 2}', kind="short")
    with working(REDIS_URL=own_server.url):
        wait_for(lambda: notes(event))
        own_server.stop()
        time.sleep(3)
        own_server.start()
        assert runs(ended(ledger, event, 40)) == [("short", "done", 1)]
        assert ended(ledger, accept(ledger, seal, kind="basic.one"))["state"] == "done"
    ledger.client.close()


def test_forged_jobs_run_nothing(ledger: Ledger, seal: Seal, notes: Notes, client: redis.Redis, tmp_path: Path) -> None:
    import pickle

    keys, proof = ledger.keys, tmp_path / "proof"
    command = f"touch {proof}"
    for name, data in {
        "json-evil": json.dumps(["os.system", None, [command], {}]).encode(),
        "pickle-evil": pickle.dumps(("os.system", None, (command,), {})),
    }.items():
        client.hset(f"{keys.rq_prefix}:job:{name}", mapping={"data": data, "status": "queued", "origin": keys.queue})
        client.rpush(keys.jobs, name)
    event = accept(ledger, seal, kind="basic.one")
    forged = f"{event}-" + "0" * 12
    client.hset(keys.run(forged), mapping={"handler": "hopeless", "state": "queued", "job": "9"})
    client.rpush(keys.jobs, f"9-{forged}")
    with working("--burst"):
        assert ended(ledger, event)["state"] == "done"
        wait_for(lambda: client.zscore(keys.name("junk"), forged))

    assert not proof.exists()
    assert notes(event) == ["good 1 False"]
    assert client.hget(keys.name("counters"), "jobs_refused") == b"2"


def test_a_broken_module_ends_work_with_2(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "broken_one.py").write_text("import nothing_such\n")
    (tmp_path / "broken_two.py").write_text("raise RuntimeError('no')\n")

    found = run("workers.cli", "work", env={"WORKER_HANDLERS": "broken_one,broken_two"}, cwd=tmp_path)

    assert found.returncode == 2
    lines = [json.loads(line) for line in found.stderr.splitlines()]
    errors = [line["text"][:15] for line in lines if line["level"] == "error"]
    assert errors == ["handler module "] * 2


def test_a_worker_without_handlers_ends_with_2(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKER_HANDLERS")

    found = run("workers.cli", "work", env={"ZYRA_API_URL": "http://example.com", "ZYRA_API_KEY": ""})

    assert found.returncode == 2
    assert [json.loads(line)["text"].split()[0] for line in found.stderr.splitlines()] == [
        "ZYRA_API_KEY",
        "WORKER_HANDLERS",
        "ZYRA_API_URL",
    ]


def test_metrics_of_a_worker(ledger: Ledger, seal: Seal, notes: Notes) -> None:
    port = free_port()
    event = accept(ledger, seal, kind="basic.one")
    with working(METRICS_PORT=str(port)):
        ended(ledger, event)
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text

    assert 'zr_attempts_total{outcome="done"} 1.0' in text
    assert "zr_ledger_up 1.0" in text


CLASSES = ["--job-class", "receiver.contract.jobs.LedgerJob", "--queue-class", "receiver.contract.jobs.LedgerQueue"]


def rq(*arguments: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    keys = Keys(os.environ["QUEUE"])
    client = connect(os.environ["REDIS_URL"], keys.tag)
    client.ping()
    owner = client.connection_pool.connection_kwargs.get("owner")
    client.close()
    url = f"redis://{owner.address[0]}:{owner.address[1]}/0" if owner else os.environ["REDIS_URL"]
    command = [sys.executable, "-m", "rq.cli", *arguments, "--url", url]
    env = {"RQ_KEY_PREFIX": keys.rq_prefix} | os.environ
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, cwd=ROOT, check=False, env=env)


def test_rq_knows_our_worker_and_our_queue(ledger: Ledger, seal: Seal, notes: Notes, env: dict[str, str]) -> None:
    with working() as process:
        wait_for(lambda: "1 workers" in (said := rq("info", env["QUEUE"], *CLASSES).stdout) and "idle" in said)
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    for _ in range(3):
        accept(ledger, seal, kind="basic.one")

    said = rq("info", env["QUEUE"], "--raw", *CLASSES).stdout

    assert f"queue {env['QUEUE']} 3, 0 executing" in said
    assert len(list(query.search(ledger, query.Filter(state="accepted")))) == 3


def test_rq_starts_our_worker_class(ledger: Ledger, seal: Seal, notes: Notes, env: dict[str, str]) -> None:
    events = [accept(ledger, seal, kind="basic.one") for _ in range(20)]

    found = rq("worker", env["QUEUE"], "--burst", "--worker-class", "workers.worker.Worker", *CLASSES)

    assert found.returncode == 0, found.stderr
    assert {query.show(ledger, event)["state"] for event in events} == {"done"}  # type: ignore[index]


def test_a_stock_rq_worker_drains_a_thousand_events(
    ledger: Ledger, seal: Seal, notes: Notes, env: dict[str, str], client: redis.Redis
) -> None:
    events = [accept(ledger, seal, kind="basic.one") for _ in range(1000)]
    client.rpush(ledger.keys.jobs, "evil")
    client.hset(f"{ledger.keys.rq_prefix}:job:evil", "data", '["os.system", null, ["false"], {}]')

    found = rq("worker", env["QUEUE"], "--burst", "--quiet", "--worker-class", "rq.SimpleWorker", *CLASSES)

    assert found.returncode == 0, found.stderr
    assert {query.show(ledger, event)["state"] for event in events} == {"done"}  # type: ignore[index]
    assert client.hget(ledger.keys.name("counters"), "jobs_refused") == b"1"
    assert len(notes("evt")) == 1000
    assert "exception" not in found.stderr
    assert " 0, 0 executing, 0 finished, 0 failed" in rq("info", env["QUEUE"], "--raw", *CLASSES).stdout


def test_a_stock_forking_rq_worker_runs_every_kind_of_handler(
    ledger: Ledger, seal: Seal, notes: Notes, env: dict[str, str]
) -> None:
    two, hopeless, calls = (accept(ledger, seal, kind=kind) for kind in ("basic.two", "hopeless", "calls"))

    found = rq("worker", env["QUEUE"], "--burst", "--quiet", *CLASSES)

    assert found.returncode == 0, found.stderr
    assert runs(query.show(ledger, two)) == [("good", "done", 1), ("also-good", "done", 1), ("flaky", "waiting", 1)]  # type: ignore[arg-type]
    assert query.show(ledger, hopeless)["state"] == "dead"  # type: ignore[index]
    assert [run["state"] for run in query.show(ledger, calls)["runs"]] == ["waiting", "dead"]  # type: ignore[index]
    assert "InvalidJobOperation" not in found.stderr
    assert " 0, 0 executing, 0 finished, 0 failed" in rq("info", env["QUEUE"], "--raw", *CLASSES).stdout


def test_a_client_refuses_calls_once_its_lease_is_lost() -> None:
    from workers.context import Lease
    from workers.errors import LeaseLost
    from workers.zyra import Zyra
    from workers.zyra.caller import Caller
    from workers.zyra.credentials import ApiKey

    lease = Lease(time.monotonic() - 60)
    zyra = Zyra("http://127.0.0.1:1", caller=Caller(ring=ApiKey(lambda: "k"), guard=lease.check))

    with pytest.raises(LeaseLost):
        zyra.virtual_servers.get("vs_1")
    assert lease.lost


def test_a_worker_serves_one_queue(client: redis.Redis) -> None:
    with pytest.raises(ConfigurationError, match="exactly one queue"):
        Worker(["events", "events"], connection=client).work()
    assert to_list("a") == ["a"]


def test_mistakes_that_show_at_run_time_fail_their_own_handler_alone(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    kinds = ("awaitable", "inner", "generator", "unawaited", "when")
    events = {kind: accept(ledger, seal, kind=f"mistake.{kind}") for kind in kinds}

    with working(ZYRA_API_KEY="zyra_sk_none", ZYRA_API_URL="http://127.0.0.1:1"):
        found = {kind: ended(ledger, event) for kind, event in events.items()}

    errors = {run["handler"]: run["error"] for one in found.values() for run in one["runs"] if run["state"] == "dead"}
    assert errors == {
        "awaitable": "TypeError: the handler returned a coroutine (later), which has not run: write `async def` and `await`",
        "inner": "TypeError: the handler returned a coroutine (later), which has not run: write `async def` and `await`",
        "generator": "TypeError: the handler returned a generator (generator.<locals>.<genexpr>), which has not run: "
        "write `async def` and `await`",
        "unawaited": "TypeError: never awaited, so never sent: virtual_servers.stop, request('POST', '/api/v1/x'); "
        "write `await` before the call",
        "when-dies": "quarantined: its process died alone: exit 7",
        "when-is-async": "TypeError: its `when` returned a coroutine (later), which has not run: "
        "write `async def` and `await`",
    }
    for one in found.values():
        good = [run["state"] for run in one["runs"] if run["handler"].startswith("good-")]
        assert good == ["done"] * 20
    assert [run["state"] for run in found["when"]["runs"] if run["handler"] == "when-says-no"] == ["skipped"]


def test_what_a_handler_logs_and_prints_says_of_which_attempt(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    event = accept(ledger, seal, kind="prints")

    with working(ZYRA_API_KEY="zyra_sk_none") as process:
        ended(ledger, event)
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=30)

    lines = [json.loads(line) for line in said.splitlines()]
    ours = [line for line in lines if line.get("run", "").startswith(event)]
    assert sorted((line["handler"], line["text"]) for line in ours) == [
        ("prints", "a line"), ("prints", "a line of mine"), ("prints", "and half of one"), ("prints", "no end"),
        ("prints-async", "of a task in two parts"),
    ]  # fmt: skip
    assert {(line["event"], line["attempt"]) for line in ours} == {(event, 1)}
    assert out == ""


def test_processes_are_replaced_on_request(ledger: Ledger, seal: Seal, env: dict[str, str], tmp_path: Path) -> None:
    module = tmp_path / "zr_saved.py"
    code = "from workers import Router\nrouter = Router()\n@router.on('*')\ndef f(event): {}\n"
    module.write_text(code.format("pass"))
    more = {"WORKER_HANDLERS": "zr_saved", "PYTHONPATH": f"{ROOT}:{tmp_path}", "PYTHONDONTWRITEBYTECODE": "1"}
    with running("workers.cli", "work", env=env | more) as process:
        before = ended(ledger, accept(ledger, seal))
        module.write_text(code.format("raise GiveUp('second')").replace("Router\n", "GiveUp, Router\n", 1))
        process.send_signal(signal.SIGHUP)

        wait_for(lambda: ended(ledger, accept(ledger, seal))["state"] == "dead")
    assert runs(before) == [("zr_saved.f", "done", 1)]


def test_what_blocks_the_loop_or_overruns_its_timeout_is_named(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    blocks, late = accept(ledger, seal, kind="slow.loop"), accept(ledger, seal, kind="slow.late")

    with working(ZYRA_API_KEY="zyra_sk_none") as process:
        states = [ended(ledger, event)["state"] for event in (blocks, late)]
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[1]

    assert states == ["done", "done"]
    lines = {line.get("handler"): line for line in map(json.loads, said.splitlines()) if line["level"] == "warning"}
    assert lines["blocks"]["text"].startswith("a handler blocks the event loop")
    assert (lines["blocks"]["event"], lines["late"]["event"]) == (blocks, late)
    assert 2 <= lines["blocks"]["seconds"] < 5
    assert (lines["late"]["text"], lines["late"]["timeout"]) == ("done, but only after its timeout", 0.2)


def test_the_first_attempt_waits_for_its_delay(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    event = accept(ledger, seal, kind="slow.delay")

    with working(ZYRA_API_KEY="zyra_sk_none"):
        (run,) = ended(ledger, event)["runs"]

    began = query.parse_time(run["past"][0]["began_at"]) - query.parse_time(
        (query.show(ledger, event) or {})["received_at"]
    )
    assert 1500 <= began < 10_000


def test_one_place_is_used_nearly_all_the_time(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    events = [accept(ledger, seal, kind="one-by-one") for _ in range(20)]

    with working(ZYRA_API_KEY="zyra_sk_none"):
        for event in events:
            ended(ledger, event)

    pasts = [(query.show(ledger, event) or {})["runs"][0]["past"][0] for event in events]
    begun = sorted((query.parse_time(past["began_at"]), past["seconds"]) for past in pasts)
    assert all(later[0] - (at + 1000 * seconds) > -3 for (at, seconds), later in itertools.pairwise(begun))
    assert begun[-1][0] - begun[0][0] < 20 * 100 * 3  # of 100 ms each: without waking it took 20 s and more


def test_limits_count_by_key_and_by_time(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    bodies = [json.dumps({"data": {"customer": f"customer-{number % 3}"}}).encode() for number in range(9)]
    keyed = [accept(ledger, seal, body, kind="keyed") for body in bodies]
    rated = [accept(ledger, seal, kind="rated") for _ in range(6)]
    badly = accept(ledger, seal, kind="keyed.badly")

    with working("--processes", "2", ZYRA_API_KEY="zyra_sk_none"):
        for event in (*keyed, *rated):
            assert ended(ledger, event)["state"] == "done"
        failed = ended(ledger, badly)

    def began(event: str) -> int:
        return query.parse_time((query.show(ledger, event) or {})["runs"][0]["past"][0]["began_at"])

    for number in range(3):
        times = sorted(map(began, keyed[number::3]))
        assert all(later - first >= 295 for first, later in itertools.pairwise(times))
    whole = sorted(map(began, keyed))
    assert whole[2] - whole[0] < 295  # other keys do not wait
    times = sorted(map(began, rated))
    assert all(later - first >= 950 for first, later in zip(times, times[2:], strict=False))
    assert failed["runs"][0]["error"] == "KeyError: 'none'"
    assert not [key for key in ledger.client.scan_iter(ledger.keys.name("*")) if b"customer" in key]


def test_fifty_events_of_one_key_make_one_run_with_the_latest(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")

    def send(customer: str) -> str:
        time.sleep(0.002)
        return accept(ledger, seal, json.dumps({"data": {"customer": customer}}).encode(), kind="debounced")

    with working("--processes", "2", ZYRA_API_KEY="zyra_sk_none"):
        first, other = [send("a") for _ in range(50)], send("b")
        assert {ended(ledger, event)["state"] for event in (*first, other)} == {"done"}
        later = send("a")
        assert ended(ledger, later)["runs"][0]["state"] == "done"

    states = [(query.show(ledger, event) or {})["runs"][0] for event in first]
    assert [run["state"] for run in states] == ["skipped"] * 49 + ["done"]
    assert states[0]["error"].startswith("superseded by evt_")
    assert (states[-1]["attempts"], (query.show(ledger, other) or {})["runs"][0]["state"]) == (2, "done")


def test_an_event_that_is_older_than_the_last_of_its_key_is_stale(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")

    def handle(customer: str, at: object) -> str:
        body = json.dumps({"data": {"customer": customer, "updated_at": at}}).encode()
        (run,) = ended(ledger, accept(ledger, seal, body, kind="aged"))["runs"]
        return f"{run['state']} {run['error']}".strip()

    stale = "skipped stale: a newer event of its key is done"
    with working(ZYRA_API_KEY="zyra_sk_none"):
        assert [handle("a", f"2026-01-0{day}T00:00:00Z") for day in (3, 1, 3, 2, 4)] == [
            "done", stale, "done", stale, "done",
        ]  # fmt: skip
        assert (handle("b", "2026-01-01T00:00:00Z"), handle("b", None)) == ("done", "done")
        assert handle("b", "soon").startswith("dead ValueError: data.updated_at is neither a number nor a time")
        ledger.client.set(next(ledger.client.scan_iter(ledger.keys.name("newest:aged:*"))), "junk")
        assert handle("a", "2026-01-05T00:00:00Z") == "done"


def test_another_api_is_called_once_though_its_worker_dies(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.labels")
    event = accept(ledger, seal, kind="labels")

    with listening() as others:
        others.body = b'{"id": 7}'
        with working(OTHER_URL=others.url.partition("/x")[0]):
            found = ended(ledger, event)

    assert (found["state"], others.requests) == ("done", ["POST /first", "POST /second"])
    assert [body for _, body in others.got] == [b"", b'{"id": 7}']
    assert len({headers["idem"] for headers, _ in others.got}) == 2


def test_runs_of_a_key_follow_one_another_in_real_workers(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two processes; first attempts that fail hold their own key."""
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    log = tmp_path / "log"
    events = [
        accept(ledger, seal, json.dumps({"data": {"customer": number % 7, "number": number}}).encode(), kind="ordered")
        for number in range(140)
    ]

    with working("--processes", "2", ORDERED_LOG=str(log)):
        assert {ended(ledger, event)["state"] for event in events} == {"done"}

    lines = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    for customer in range(7):
        numbers = [number for one, number in lines if one == customer]
        assert numbers == sorted(numbers)
        assert len(set(numbers)) == 20


def test_a_lane_whose_key_fails_once_is_joined_later(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `key` that raises fails its own run, not the dispatch."""
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.mistakes")
    event = accept(ledger, seal, b'{"data": {}}', kind="laned")

    with working():
        found = ended(ledger, event)

    assert (found["state"], found["runs"][0]["state"], found["runs"][0]["attempts"]) == ("done", "done", 2)


def test_a_dead_letter_is_reported_by_its_router(
    ledger: Ledger, seal: Seal, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_HANDLERS", "tests.plugins.labels")
    event = accept(ledger, seal, kind="dies")

    with listening() as others, working(OTHER_URL=others.url.partition("/x")[0]):
        ended(ledger, event)
        wait_for(lambda: runs(query.show(ledger, event) or {})[1:] == [("tests.plugins.labels.report", "done", 1)])

    assert others.told == [{"handler": "dies", "attempts": 1, "error": "ValueError: no such label"}]
