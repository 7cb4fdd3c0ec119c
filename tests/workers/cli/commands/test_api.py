"""`zyra-receiver api` against the sandbox."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
import redis

from tests.support.kit import ROOT, Tool, run
from tests.support.sandbox import KEY, Sandbox
from workers.cli.commands.api import show_budget
from workers.cli.output import ResultPrinter
from workers.sandbox.state import User
from workers.zyra.budget import Budget, compute_fingerprint
from workers.zyra.openapi import load
from workers.zyra.routes import Limit, Limits, load_default_routes


def test_calls_by_name(tool: Tool, sandbox: Sandbox, tmp_path: Path) -> None:
    listed = tool("api", "devices", "list", "--param", "status=online")
    assert [json.loads(line)["id"] for line in listed[1].splitlines()] == ["dev_0001"]
    assert json.loads(tool("api", "virtual-servers", "stop", "vs_0001")[1])["status"] == "stopped"
    made = json.loads(tool("api", "virtual-servers", "create", "--set", "name=web", "--set", "a.b=5")[1])
    assert (made["name"], made["a"]) == ("web", {"b": 5})
    assert json.loads(tool("api", "ml_jobs", "submit", "--data", '{"name": "x"}')[1])["status"] == "queued"
    (tmp_path / "user").write_text('{"userName": "u"}')
    user = json.loads(tool("api", "scim-users", "create", "--data", f"@{tmp_path}/user")[1])
    assert tool("api", "scim-users", "delete", user["id"])[0] == 0
    assert len(tool("api", "virtual-servers", "list", "--limit", "2")[1].splitlines()) == 2


def test_files_and_paths(tool: Tool, sandbox: Sandbox, tmp_path: Path) -> None:
    code, out, _ = tool("api", "invoices", "pdf", "inv_0001", "--out", str(tmp_path / "i.pdf"))
    assert (code, out.split()[1:3]) == (0, ["bytes", "in"])
    assert (tmp_path / "i.pdf").read_bytes().startswith(b"%PDF")
    assert json.loads(tool("api", "get", "/api/v1/invoices/inv_0001")[1])["total"] == "48.00"
    assert len(tool("api", "get", "/api/v1/invoices")[1].splitlines()) == 2
    assert json.loads(tool("api", "post", "/api/v1/virtual-servers", "--set", "name=a")[1])["name"] == "a"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nothing", "here"], 2, "there is no area 'nothing'"),
        (["devices"], 2, "devices has the calls list, get"),
        (["devices", "paint"], 2, "devices has the calls"),
        (["devices", "get"], 2, "takes id"),
        (["devices", "get", ".."], 2, "no id"),
        (["devices", "get", "dev_9"], 1, "404 not_found"),
        (["get"], 2, "get takes one path"),
        (["get", "https://x"], 2, "must be a path"),
        (["virtual-servers", "create"], 2, "needs --set name=..."),
        (["virtual-servers", "create", "--set", "name"], 2, "takes name=value"),
        (["virtual-servers", "create", "--data", "{"], 2, "--data:"),
        (["virtual-servers", "create", "--data", "[]"], 2, "needs --set name=..."),
        (["virtual-servers", "create", "--set", "a=1", "--set", "a.b=2"], 2, "is a value already"),
        (["virtual-servers", "create", "--data", "{}", "--set", "a=1"], 2, "both given"),
        (["invoices", "pdf", "inv_0001"], 2, "--out FILE is needed"),
        (["invoices", "pdf", "inv_0001", "--out", "/nonexistent/x"], 2, "cannot write /nonexistent/x"),
        (["check", "/nonexistent"], 2, "cannot be read"),
        (["check", "http://example.com/x"], 2, "must be https"),
    ],
)
def test_what_is_wrong_is_said(tool: Tool, sandbox: Sandbox, words: list[str], code: int, told: str) -> None:
    found = tool("api", *words)

    assert (found[0], told in found[2]) == (code, True), found


def test_a_list_that_was_cut_says_so(tool: Tool, sandbox: Sandbox) -> None:
    code, out, err = tool("api", "devices", "list", "--limit", "1")

    assert (code, len(out.splitlines())) == (0, 1)
    assert err == "there are more than 1: raise --limit to get them\n"
    assert tool("api", "devices", "list")[2] == ""


def test_an_error_is_said_once(env: dict[str, str], sandbox: Sandbox) -> None:
    """In a process of its own: pytest's own handlers would hide what Python prints where there are none."""
    found = run("workers.cli", "api", "devices", "get", "dev_none")

    assert found.returncode == 1
    assert found.stderr.count("GET /api/v1/devices/dev_none 404") == 1
    assert all(line.startswith("error: ") for line in found.stderr.splitlines())


def test_who_reads_one_line_hears_of_no_broken_pipe(env: dict[str, str], sandbox: Sandbox) -> None:
    for command in ("api devices list", "api get /api/v1/devices", "schemes list", "api routes"):
        shell = f"{sys.executable} -m workers.cli {command} | true"

        found = subprocess.run(["sh", "-c", shell], cwd=ROOT, capture_output=True, text=True, check=False)

        assert found.stderr == "", command


def test_numbers_stay_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"total": Decimal("48.50"), "lines": [{"price": Decimal("0.1")}], "count": 2}
    ResultPrinter(True, 1).print_one(row)
    ResultPrinter(False, 1).print_one(row)

    assert capsys.readouterr().out.splitlines() == [
        '{"total": 48.5, "lines": [{"price": 0.1}], "count": 2}', "total: 48.50", 'lines: [{"price": 0.1}]', "count: 2",
    ]  # fmt: skip


def test_an_empty_list_has_its_head(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    ResultPrinter(False, 5).print_many([])

    assert capsys.readouterr().out == "ID  NAME  STATUS\n"


def test_what_is_no_pdf_is_refused(
    tool: Tool, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.sandbox.accounts.PDF", b"<html>log in</html>")

    code, _, err = tool("api", "invoices", "pdf", "inv_0001", "--out", str(tmp_path / "a.pdf"))

    assert (code, "the file is no %PDF-" in err, (tmp_path / "a.pdf").exists()) == (1, True, False)


def test_our_table_is_compared(tool: Tool, sandbox: Sandbox, tmp_path: Path) -> None:
    assert tool("api", "check")[:2] == (0, f"no difference: {sandbox.url}/openapi.json\n")
    document = load(sandbox.url + "/openapi.json")
    del document["paths"]["/api/v1/sdk"]
    (tmp_path / "spec.json").write_text(json.dumps(document))
    assert tool("api", "check", str(tmp_path / "spec.json"))[:2] == (
        1, "sdk.discover: GET /api/v1/sdk is not in the specification\n",
    )  # fmt: skip
    for text, told in (("{", "is no JSON"), ("[]", "no OpenAPI document")):
        (tmp_path / "spec.json").write_text(text)
        assert told in tool("api", "check", str(tmp_path / "spec.json"))[2]
    assert "answered 404" in tool("api", "check", f"{sandbox.url}/nothing")[2]
    assert "cannot be fetched" in tool("api", "check", "http://127.0.0.1:1/x")[2]


def test_what_is_left_of_the_budget(tool: Tool, sandbox: Sandbox, client: redis.Redis) -> None:
    tool("api", "virtual-servers", "get", "vs_0001")
    rows = [json.loads(line) for line in tool("api", "budget")[1].splitlines()]
    assert [(row["limit"], row["left"], row["most"]) for row in rows] == [
        ("read", 999, 1000), ("create", 1000, 1000), ("bulk", 100, 100),
    ]  # fmt: skip
    assert {row["key"] for row in rows} == {KEY[:18]}


def test_a_limit_that_a_429_has_lowered_is_told(
    tool: Tool, sandbox: Sandbox, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    Budget(client, Limits(read=1000)).lower(compute_fingerprint(KEY), Limit.READ, 5)

    show_budget([], ResultPrinter(False, 10))

    assert (
        "read: 250 of 250 a minute left, lowered from 1000 after a 429, and rising, held by" in capsys.readouterr().out
    )


def test_a_person_waits_for_room(
    tool: Tool,
    sandbox: Sandbox,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZYRA_API_MINUTE", "0.5")
    monkeypatch.setenv("ZYRA_API_LIMITS", "read=1")
    assert tool("api", "devices", "get", "dev_0001")[0] == 0
    code, _, err = tool("api", "devices", "get", "dev_0001")
    assert (code, "waiting" in err) == (0, True)
    Budget(client).hold(compute_fingerprint(KEY), Limit.READ, 300)
    assert tool("api", "devices", "get", "dev_0001")[0] == 1


def test_without_redis_nobody_counts(
    tool: Tool,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.delenv("SEAL_KEY")
    monkeypatch.chdir(tmp_path)

    assert tool("api", "devices", "get", "dev_0001")[0] == 0
    assert "REDIS_URL is not set" in tool("api", "budget")[2]
    monkeypatch.delenv("ZYRA_API_KEY")
    monkeypatch.setenv("ZYRA_API_USER", "a@example.com")
    monkeypatch.setenv("ZYRA_API_PASSWORD", "pw")
    assert "wants REDIS_URL and SEAL_KEY" in tool("api", "devices", "list")[2]


def test_with_a_login(tool: Tool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, client: redis.Redis) -> None:
    sandbox.state.users["cli@example.com"] = User("pw", "org_admin")
    monkeypatch.delenv("ZYRA_API_KEY")
    monkeypatch.setenv("ZYRA_API_USER", "cli@example.com")
    monkeypatch.setenv("ZYRA_API_PASSWORD", "pw")

    assert tool("api", "devices", "get", "dev_0001")[0] == 0
    for name in client.scan_iter("zr::{api}:u*"):
        client.delete(name)


def test_the_table_of_routes(tool: Tool, env: dict[str, str]) -> None:
    assert len(tool("api", "routes")[1].splitlines()) == len(load_default_routes())


def test_on_a_terminal_there_are_tables(
    tool: Tool,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    client: redis.Redis,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(ResultPrinter, "__init__", terminal)
    assert tool("api", "devices", "list")[1].splitlines()[0].split()[:2] == ["ID", "STATUS"]
    assert "name: demo-1" in tool("api", "virtual-servers", "get", "vs_0001")[1]
    assert 'settings: {"region": "eu", "tax_rate": "0.20"}' in tool("api", "organizations", "get", "org_0001")[1]
    assert tool("api", "routes")[1].splitlines()[0].split()[0] in ("CALL", "auth.login")
    budget = Budget(client)
    budget.hold(compute_fingerprint(KEY), Limit.BULK, 30)
    budget.refuse(compute_fingerprint(KEY))
    said = tool("api", "budget")[1]
    assert "refused by Zyra: replace it" in said
    assert "held by Zyra for" in said
    assert "waiting: nobody" in said


def terminal(self: ResultPrinter, plain: bool, limit: int) -> None:
    self.plain, self._limit = False, limit
