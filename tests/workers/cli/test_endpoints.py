"""Registration and rotation against the sandbox, in the role of Zyra."""

import os
from pathlib import Path

import pytest

from tests.sandbox import Sandbox

from .test_commands import Tool, tool  # noqa: F401 - a fixture

URL = "https://hooks.example.com/webhooks/zyra"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "webhook-secret"


def urls(sandbox: Sandbox) -> list[str]:
    return [row["url"] for row in sandbox.state.endpoints.values()]


def test_an_endpoint_is_registered_once(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    first = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    again = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    other = tool(
        "endpoints", "register", "--url", URL, "--secret-file", str(secret), "--events", "job.failed, job.queued"
    )

    (row,) = sandbox.state.endpoints.values()
    assert (first[0], again[0], other[0]) == (0, 0, 0)
    assert "nothing to change" in again[1]
    assert "told 2 types" in other[1]
    assert row["events"] == ["job.failed", "job.queued"]
    assert secret.read_text() == row["secret"]
    assert secret.stat().st_mode & 0o777 == 0o600
    assert row["secret"] not in first[1] + again[1]


def test_a_secret_that_is_lost_cannot_be_had_again(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    secret.unlink()

    code, out, _ = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))

    assert (code, "tells only once" in out) == (1, True)
    assert not secret.exists()


def test_nothing_is_left_of_what_was_refused(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    for n in range(10):
        sandbox.state.add_endpoint(f"https://x.example/{n}", ["a"], "")

    code, out, _ = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))

    assert (code, "at most 10 endpoints" in out) == (1, True)
    assert not secret.exists()
    secret.write_text("of another one")
    sandbox.state.endpoints.clear()
    assert (
        "holds another endpoint's secret"
        in tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[2]
    )
    assert urls(sandbox) == []


def test_where_the_secret_is_must_be_said(
    tool: Tool,  # noqa: F811
    sandbox: Sandbox,
    secret: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "--secret-file is needed" in tool("endpoints", "register", "--url", URL)[2]
    assert "cannot write" in tool("endpoints", "register", "--url", URL, "--secret-file", "/nonexistent/x")[2]
    monkeypatch.delenv("ZYRA_WEBHOOK_SECRET")
    monkeypatch.setenv("ZYRA_WEBHOOK_SECRET_FILE", str(secret))
    assert tool("endpoints", "register", "--url", URL)[0] == 0
    assert secret.exists()


def test_a_secret_is_rotated(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret), "--events", "job.failed")
    (old,) = sandbox.state.endpoints.values()

    code, out, _ = tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--wait", "0")

    (new,) = sandbox.state.endpoints.values()
    assert code == 0
    assert new["id"] != old["id"]
    assert new["events"] == ["job.failed"]
    assert secret.read_text() == f"{new['secret']},{old['secret']}"
    assert "safe to remove" in out
    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--wait", "0")[0] == 0
    assert secret.read_text().count(",") == 2


def test_a_rotation_that_was_broken_off_goes_on(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints.values()
    sandbox.state.add_endpoint(URL, old["events"], f"zyra-receiver (in place of {old['id']})")

    assert "registered 2 times" in tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[1]
    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--wait", "0")[0] == 0

    assert old["id"] not in sandbox.state.endpoints
    assert urls(sandbox) == [URL]


def test_what_cannot_be_rotated(tool: Tool, sandbox: Sandbox, secret: Path) -> None:  # noqa: F811
    rotate = ("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--wait", "0")
    assert "registered 0 times" in tool(*rotate)[1]
    sandbox.state.add_endpoint(URL, ["a"], "")
    assert "does not hold the present secret" in tool(*rotate)[1]
    secret.write_text("present")
    os.mkdir(secret.parent / ".webhook-secret.new")
    code, out, _ = tool(*rotate)
    assert (code, "nothing was changed" in out) == (1, True)
    assert len(urls(sandbox)) == 1
    sandbox.state.add_endpoint(URL, ["a"], "")
    assert "registered 2 times" in tool(*rotate)[1]


def test_the_rest(tool: Tool, sandbox: Sandbox) -> None:  # noqa: F811
    row = sandbox.state.add_endpoint(URL, ["a"], "")

    assert tool("endpoints", "list")[1] == f"{row['id']}\t{URL}\t1\n"
    assert tool("endpoints", "delete", row["id"])[0] == 0
    assert tool("endpoints", "delete", row["id"])[0] == 1
