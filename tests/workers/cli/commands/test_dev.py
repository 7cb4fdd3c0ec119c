"""The main job, as a newcomer meets it: everything in real processes, from the webhook to the call back."""

import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.kit import ROOT, children_of, run, wait_for
from workers.cli.embedded import make_redis_command


def clean(folder: Path, **more: str) -> dict[str, str]:
    """An environment that knows nothing but where dev's data is."""
    keep = {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE", "PATH", "HOME", "LANG"))}
    return keep | {"RECEIVER_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)} | more


@contextlib.contextmanager
def dev(folder: Path, *options: str, **more: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "dev", "--port", "0", "--json", *options],
        env=clean(folder, **more), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout
        yield json.loads(process.stdout.readline()), process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def tool(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers.cli", *arguments]
    return subprocess.run(
        command, env=clean(folder, **more), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def state(folder: Path, event: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tool(folder, "events", "show", event, "--json").stdout)
    return found


def server_status(facts: dict[str, Any]) -> str:
    key = Path(facts["api_key_file"]).read_text()
    url = f"{facts['sandbox']}/api/v1/virtual-servers/{facts['demo_server']}"
    return str(httpx2.get(url, headers={"authorization": f"Bearer {key}"}).json()["data"]["status"])


def test_the_main_job(tmp_path: Path) -> None:
    with dev(tmp_path) as (facts, process):
        sent = tool(tmp_path, "send", "virtual_server.error", "--set", f"data.id={facts['demo_server']}")
        assert sent.returncode == 0, sent.stderr
        event = json.loads(sent.stdout.partition(" ")[2])["id"]
        found = wait_for(lambda: (f := state(tmp_path, event))["state"] == "done" and f)
        wait_for(lambda: server_status(facts) == "running")

        assert [(run["state"], run["attempts"]) for run in found["runs"]] == [("done", 1)]
        listed = tool(tmp_path, "events", "list", "--type", "virtual_server.*", "--json").stdout
        assert {"virtual_server.stopped", "virtual_server.started"} <= {
            json.loads(line)["type"] for line in listed.splitlines()
        }
        assert tool(tmp_path, "check").returncode == 0
        assert tool(tmp_path, "check", "--role", "worker").returncode == 0
        assert tool(tmp_path, "health", "--url", facts["receiver"]).returncode == 0
        assert "restart" in tool(tmp_path, "handlers", "--event", event).stdout
        assert all("zr_" in httpx2.get(url).text for url in facts["metrics"])
        assert "runs already" in tool(tmp_path, "dev", "--port", "0").stderr
    assert process.returncode == 0
    assert not (tmp_path / "dev.json").exists()


def sign_by_hand(facts: dict[str, Any]) -> urllib.request.Request:
    """A delivery as a provider signs it."""
    secret = Path(facts["secret_file"]).read_text()
    body = json.dumps({"data": {"id": facts["demo_server"]}})
    signature = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    headers = {"X-Zyra-Event": "virtual_server.error", "X-Zyra-Signature": signature}
    return urllib.request.Request(f"{facts['receiver']}/webhooks/zyra", body.encode(), headers)


def test_the_same_by_hand(tmp_path: Path) -> None:
    with dev(tmp_path) as (facts, _):
        with urllib.request.urlopen(sign_by_hand(facts)) as answer:
            event = json.load(answer)["id"]

        wait_for(lambda: state(tmp_path, event)["state"] == "done")
        for name in ("webhook-secret", "api-key", "seal-key", "sandbox.json", "dev.json", "control-token"):
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_everything_killed_right_after_the_202(tmp_path: Path) -> None:
    with dev(tmp_path) as (facts, process):
        secret = Path(facts["secret_file"]).read_text()
        children = wait_for(lambda: len(found := descendants(process.pid)) >= 6 and found)  # the worker has two more
        with urllib.request.urlopen(sign_by_hand(facts)) as answer:  # by hand: a command takes its time to end
            process.kill()
            event = json.load(answer)["id"]
        process.wait()
        wait_for(lambda: not any(alive(child) for child in children))  # they end with their supervisor

    with dev(tmp_path) as (again, _):
        assert Path(again["secret_file"]).read_text() == secret
        wait_for(lambda: state(tmp_path, event)["state"] == "done", 60)
        shown = {"x-sandbox-token": Path(again["control_token_file"]).read_text()}
        calls = httpx2.get(f"{again['sandbox']}/sandbox/state", headers=shown).json()["calls"]
        if any(call["method"] == "POST" for call in calls):  # else the server of the sandbox before was restarted
            wait_for(lambda: server_status(again) == "running")


def descendants(pid: int) -> list[int]:
    mine = children_of(pid)
    return mine + [one for child in mine for one in descendants(child)]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_one_delivery_a_hundred_times_at_once(tmp_path: Path) -> None:
    with dev(tmp_path) as (_facts, _):
        sent = tool(
            tmp_path, "send", "virtual_server.error", "--set", "data.id=vs_0001", "--copies", "100", "--parallel"
        )
        answers = [json.loads(line.partition(" ")[2]) for line in sent.stdout.splitlines()]
        found = wait_for(lambda: (f := state(tmp_path, answers[0]["id"]))["state"] == "done" and f)

    assert sent.returncode == 0
    assert (len(answers), len({answer["id"] for answer in answers})) == (100, 1)
    assert (found["duplicates"], [run["attempts"] for run in found["runs"]]) == (99, [1])


def test_a_broken_module_is_shown_and_the_others_go_on(tmp_path: Path) -> None:
    handlers = "no_such_module,workers.handlers.log_event,tests.plugins.canary"
    with dev(tmp_path, WORKER_HANDLERS=handlers) as (_facts, process):
        event = json.loads(tool(tmp_path, "send", "device.online").stdout.partition(" ")[2])["id"]
        failing = json.loads(tool(tmp_path, "send", "canary").stdout.partition(" ")[2])["id"]
        wait_for(lambda: state(tmp_path, event)["state"] == "done")
        wait_for(lambda: "canary-error" in str(state(tmp_path, failing)))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert "no_such_module" in said
    assert "ValueError: canary-error" in said, "dev logs the messages of exceptions"


def test_who_asks_where_no_dev_runs_is_told_so(tmp_path: Path) -> None:
    asked = tool(tmp_path, "events", "list")
    assert (
        asked.returncode,
        f"`make dev` is stopped: start it, and commands here use its settings in {tmp_path}" in asked.stderr,
    ) == (2, True)
    assert "make dev" not in tool(tmp_path / "nowhere", "events", "list").stderr


def test_endpoints_are_registered_listed_and_deleted(tmp_path: Path) -> None:
    with dev(tmp_path) as (_facts, _):
        secret = tmp_path / "new-secret"
        url = "https://hooks.example.com/webhooks/zyra"
        made = tool(
            tmp_path, "endpoints", "register", "--url", url, "--secret-file", str(secret), "--events", "device.online"
        )
        listed = tool(tmp_path, "endpoints", "list").stdout
        name = next(line.split("\t")[0] for line in listed.splitlines() if "hooks.example.com" in line)

        assert made.returncode == 0
        assert (len(secret.read_text()), secret.stat().st_mode & 0o777) == (64, 0o600)
        assert tool(tmp_path, "endpoints", "register", "--url", url, "--secret-file", str(secret)).returncode == 0
        refused = tool(tmp_path, "endpoints", "register", "--url", "http://x", "--secret-file", str(tmp_path / "other"))
        assert (refused.returncode, (tmp_path / "other").exists()) == (2, False)
        assert tool(tmp_path, "endpoints", "delete", name).returncode == 0
        assert tool(tmp_path, "endpoints", "delete", name).returncode == 1


def one_line(found: subprocess.CompletedProcess[str]) -> str:
    assert found.returncode == 2
    assert "Traceback" not in found.stderr
    (line,) = found.stderr.splitlines()
    return line


def test_errors_that_a_newcomer_meets(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "--port 0" in one_line(tool(tmp_path / "a", "dev", "--port", port))
    (tmp_path / "file").write_text("")
    assert "--data-dir" in one_line(tool(tmp_path / "file" / "b", "dev", "--port", "0"))
    assert "its own sandbox only" in one_line(tool(tmp_path / "c", "dev", ZYRA_API_URL="https://app.getzyra.io"))
    nothing = tool(tmp_path / "d", "dev", "--port", "0", REDIS_URL="unix:///nowhere")
    assert nothing.returncode != 0
    assert "ZYRA_WEBHOOK_SECRET is not set" in one_line(tool(tmp_path / "e", "send", "a"))


def test_what_does_not_start_is_named(tmp_path: Path) -> None:
    started = tool(tmp_path / "a", "dev", "--port", "0", DURABILITY="maybe")
    assert started.returncode == 2
    assert "the receiver did not start" in started.stderr
    assert "DURABILITY must be one of" in started.stderr
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "appendonlydir").write_text("no folder")
    assert "the embedded Redis did not start: see" in one_line(tool(tmp_path / "b", "dev", "--port", "0"))


def test_a_server_that_outlived_its_dev_is_replaced(tmp_path: Path) -> None:
    orphan = subprocess.Popen(make_redis_command(tmp_path, tmp_path / "redis.sock"))
    wait_for((tmp_path / "redis.sock").exists)
    with dev(tmp_path) as (_facts, _):
        assert orphan.wait(5) == 0
        assert tool(tmp_path, "send", "device.online").returncode == 0


def test_a_long_data_directory_is_no_trouble(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    with dev(folder) as (facts, _):
        assert len(facts["redis_url"]) < 110


def test_people_get_words(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "workers.cli", "dev", "--port", "0"]
    process = subprocess.Popen(
        command, env=clean(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    said = ""
    while "events list" not in said:
        said += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert "send virtual_server.error --set data.id=vs_0002" in said
    assert process.returncode == 0


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["send"], ["events", "list", "--state", "odd"], ["work", "--processes", "0"]]
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert run("workers.cli", *arguments, env=clean(tmp_path)).returncode == 2


def test_without_arguments_the_commands_are_shown(tmp_path: Path) -> None:
    found = run("workers.cli", "--help", env=clean(tmp_path))

    assert found.returncode == 0
    assert "Run everything on this machine" in found.stdout


def test_saved_code_runs_and_code_that_does_not_load_changes_nothing(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    module, notes = code / "zr_dev.py", tmp_path / "notes"
    text = (
        "from workers import Router\nrouter = Router()\n@router.on('virtual_server.error')\n"
        f"def act(event):\n    open({str(notes)!r}, 'a').write('first ')\n"
    )
    module.write_text(text)
    (code / "receiver.toml").write_text('[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\n')
    more = {"PYTHONPATH": f"{ROOT}:{code}", "WORKER_HANDLERS": "zr_dev", "PORT": "1", "SEAL_KEY": "0" * 64}

    def act() -> str:
        before = len(notes.read_text()) if notes.exists() else 0
        tool(tmp_path, "send", "virtual_server.error", "--set", "data.id=vs_1")
        wait_for(lambda: notes.exists() and len(notes.read_text()) > before)
        return notes.read_text()[before:].strip()

    with dev(tmp_path, **more) as (facts, process):
        assert act() == "first"
        module.write_text(text.replace("first", "second"))
        wait_for(lambda: act() == "second")
        module.write_text(text + "x = = 3\n")
        time.sleep(1.5)
        assert act() == "second"
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]

    assert "dev ignores PORT, SEAL_KEY" in said
    assert "zr_dev.py was saved" in said
    assert "error: handler module 'zr_dev': zr_dev.py:6: SyntaxError" in said
    assert "keeps running the last good code" in said
    assert (tmp_path / ".gitignore").read_text() == "*\n"
    assert facts["config"] == ""


def test_commands_beside_dev_know_its_configuration(tmp_path: Path) -> None:
    path = tmp_path / "receiver.toml"
    path.write_text(f'[sources.hub]\nscheme = "github"\nsecrets = ["file:{tmp_path}/hub-secret"]\n')
    (tmp_path / "hub-secret").write_text("s" * 32)

    with dev(tmp_path, RECEIVER_CONFIG=str(path)) as (facts, _):
        sent = tool(tmp_path, "send", "push", "--source", "hub")

    assert facts["config"] == str(path)
    assert sent.stdout.startswith("200 "), sent.stderr
