import json
import os
from pathlib import Path

import httpx2
import pytest

from tests.support.kit import Tool, free_port, running, wait_for


def test_the_sandbox_as_a_process(tool: Tool, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "seed.json").write_text('{"devices": {"dev_7": {"status": "pending"}}}')
    options = ("--port", str(port), "--data-dir", str(tmp_path / "s"), "--seed-file", str(tmp_path / "seed.json"))
    url = f"http://127.0.0.1:{port}"
    where = ("--url", url, "--data-dir", str(tmp_path / "s"))
    hooks = ("--hooks", "http://127.0.0.1:1/x", "--chaos", "dup", "--seed", "3", "--shape", "payload=flat")
    with running("workers.cli", "sandbox", *options, *hooks) as process:
        wait_for(lambda: process.poll() is None and answers(url))
        key = (tmp_path / "s" / "api-key").read_text()
        found = httpx2.get(f"{url}/api/v1/devices/dev_7", headers={"authorization": f"Bearer {key}"}).json()
        assert found["data"]["status"] == "pending"
        assert tool("sandbox", "trigger", "job.failed", "--set", "id=j", "--set", "n=5", *where)[:2] == (
            0, "sent to 1 endpoints\n",
        )  # fmt: skip
        made = tool("sandbox", "key", "--user", "m@x.test", "--role", "org_member", *where)[1].strip()
        member = {"authorization": f"Bearer {made}"}
        assert httpx2.get(f"{url}/api/v1/invoices", headers=member).status_code == 403
        assert tool("sandbox", "revoke", made, *where)[0] == 0
        assert httpx2.get(f"{url}/api/v1/invoices", headers=member).status_code == 401
        assert "no active key" in tool("sandbox", "revoke", made, *where)[2]
        assert "Invalid enum value" in tool("sandbox", "key", "--role", "king", *where)[2]
        assert "Expected `str`" in tool("sandbox", "trigger", "job.failed", "--set", "name=5", *where)[2]
        assert f"port {port} is in use" in tool("sandbox", *options)[2]
        assert httpx2.get(f"{url}/sandbox/state").status_code == 401
        shown = {"x-sandbox-token": (tmp_path / "s" / "control-token").read_text()}
        deliveries = httpx2.get(f"{url}/sandbox/state", headers=shown).json()["areas"]["endpoints"]
        assert len(deliveries) == 1
        assert json.loads(json.dumps(found))["success"]


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/openapi.json").status_code == 200
    except httpx2.HTTPError:
        return False


def test_what_is_wrong_is_said(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "there is no plague" in tool("sandbox", "--chaos", "plague")[2]
    assert "is no shape" in tool("sandbox", "--shape", "payload=round")[2]
    (tmp_path / "bad").write_text("[]")
    seed = ("--data-dir", str(tmp_path / "s"), "--seed-file", str(tmp_path / "bad"))
    assert "a seed is JSON" in tool("sandbox", *seed)[2]
    assert not (tmp_path / "s").exists()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "sandbox.json").write_text("{")
    assert "sandbox.json: " in tool("sandbox", *seed[:2])[2]
    (tmp_path / "s" / "api-key").unlink()
    (tmp_path / "s" / "api-key").mkdir()
    assert "api-key: Is a directory" in tool("sandbox", *seed[:2])[2]
    assert "nowhere: No such file" in tool("sandbox", *seed[:2], "--seed-file", str(tmp_path / "nowhere"))[2]
    assert "cannot use" in tool("sandbox", "--data-dir", "/proc/nowhere")[2]
    assert "not in Zyra's catalogue" in tool("sandbox", "trigger", "nothing")[2]
    assert "takes name=value" in tool("sandbox", "trigger", "job.failed", "--set", "x")[2]
    assert "the sandbox's token is not in" in tool("sandbox", "trigger", "job.failed", *seed[:2])[2]
    (tmp_path / "s" / "control-token").write_text("t")
    for url in ("http://[::1", f"http://127.0.0.1:{free_port()}"):
        assert tool("sandbox", "trigger", "job.failed", *seed[:2], "--url", url)[0] == 1
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for command in ("sandbox", "dev"):
        assert "others may write to" in tool(command, "--data-dir", str(tmp_path / "open"))[2]
    (tmp_path / "mine").mkdir(mode=0o700)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    for command in ("sandbox", "dev"):
        assert "belongs to another user" in tool(command, "--data-dir", str(tmp_path / "mine"))[2]
    assert "there is no plague" in tool("dev", "--chaos", "plague", "--data-dir", str(tmp_path / "d"))[2]
