"""Registration and rotation against the sandbox, in the role of Zyra."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.kit import ROOT, Tool, free_port, running, wait_for
from tests.support.other_server import listening
from tests.support.receiver import up
from tests.support.sandbox import KEY, Sandbox
from workers import Zyra
from workers.cli import secret_file
from workers.cli.secret_file import Rotation
from workers.ledger import query
from workers.ledger.query import Filter
from workers.ledger.transitions import Ledger
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey

URL = "https://hooks.example.com/webhooks/zyra"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    return tmp_path / "webhook-secret"


def urls(sandbox: Sandbox) -> list[str]:
    return [row["url"] for row in sandbox.state.endpoints.values()]


def test_an_endpoint_is_registered_once(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
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


def test_a_secret_that_is_lost_cannot_be_had_again(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    secret.unlink()

    code, _, err = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))

    assert (code, "tells only once" in err) == (1, True)
    assert not secret.exists()


def test_nothing_is_left_of_what_was_refused(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    for n in range(10):
        sandbox.state.add_endpoint(f"https://x.example/{n}", ["a"], "")

    code, _, err = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))

    assert (code, "at most 10 endpoints" in err) == (1, True)
    assert not secret.exists()
    secret.write_text("of another one")
    sandbox.state.endpoints.clear()
    assert (
        "holds another endpoint's secret"
        in tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[2]
    )
    assert urls(sandbox) == []


def test_where_the_secret_is_must_be_said(
    tool: Tool,
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


def test_a_secret_is_rotated(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret), "--events", "job.failed")
    (old,) = sandbox.state.endpoints.values()

    code, out, _ = tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")

    (new,) = sandbox.state.endpoints.values()
    assert code == 0
    assert new["id"] != old["id"]
    assert new["events"] == ["job.failed"]
    assert secret.read_text() == f"{new['secret']},{old['secret']}"
    assert "safe to remove" in out
    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")[0] == 0
    assert secret.read_text().count(",") == 2


@pytest.fixture
def receiver(
    env: dict[str, str],
    sandbox: Sandbox,
    secret: Path,
    tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The URL of a receiver that is registered, and reads the secret from its file."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks/zyra"
    assert tool("endpoints", "register", "--url", url, "--secret-file", str(secret))[0] == 0
    own = {name: value for name, value in env.items() if name != "ZYRA_WEBHOOK_SECRET"}
    monkeypatch.delenv("ZYRA_WEBHOOK_SECRET", raising=False)
    with running("workers.cli", "serve", env=own | {"PORT": str(port), "ZYRA_WEBHOOK_SECRET_FILE": str(secret)}):
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http:
            wait_for(lambda: up(http))
        yield url


def test_the_first_endpoint_goes_once_the_receiver_takes_the_new_secret(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
    receiver: str,
    ledger: Ledger,
) -> None:
    (old,) = sandbox.state.endpoints.values()
    secret.chmod(0o440)
    inode = secret.stat().st_ino

    code, out, _ = tool("endpoints", "rotate", "--url", receiver, "--secret-file", str(secret))

    (new,) = sandbox.state.endpoints.values()
    assert (code, "takes the new secret" in out) == (0, True)
    assert secret.read_text() == f"{new['secret']},{old['secret']}"
    assert (secret.stat().st_ino, secret.stat().st_mode & 0o777) == (inode, 0o440)  # who has it mounted sees it
    assert [path.name for path in secret.parent.glob(".webhook*")] == [".webhook-secret.lock"]
    events = [one for one in query.search(ledger, Filter()) if one["type"] == "zyra-receiver.probe"]
    assert len(events) == 1


def test_both_endpoints_stay_while_the_receiver_does_not_take_the_new_secret(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
    receiver: str,
    tmp_path: Path,
) -> None:
    """It reads another file, or cannot see it change; then somebody restarts it."""
    other = tmp_path / "other"
    other.write_text(secret.read_text())
    rotate = ("endpoints", "rotate", "--url", receiver, "--secret-file", str(other), "--wait", "0.1")
    code, _, err = tool(*rotate)
    assert (code, "(401), so both endpoints stay" in err) == (1, True)
    assert len(sandbox.state.endpoints) == 2
    kept = other.read_text()

    secret.write_text(kept)

    assert tool(*rotate[:-1], "20")[0] == 0
    (new,) = sandbox.state.endpoints.values()
    assert other.read_text() == kept == f"{new['secret']},{kept.split(',')[1]}"


def test_an_endpoint_whose_secret_is_not_known_here_is_left_alone(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
) -> None:
    """The answer to its creation got lost, or somebody else rotates the endpoint from another machine."""
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints.values()
    lost = sandbox.state.add_endpoint(URL, old["events"], f"zyra-receiver (in place of {old['id']})")
    assert "registered 2 times" in tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[2]

    rotate = ("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")
    code, _, err = tool(*rotate)

    assert (code, f"`endpoints delete {lost['id']}`" in err) == (1, True)
    assert list(sandbox.state.endpoints) == [old["id"], lost["id"]]
    assert tool("endpoints", "delete", lost["id"])[0] == 0
    assert tool(*rotate)[0] == 0


def test_two_commands_at_once(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    with secret_file.lock_file(secret):
        said = tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[2]

    assert "another `endpoints` command" in said
    assert tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[0] == 0
    link = secret.with_name("link")
    link.symlink_to(secret)
    with secret_file.lock_file(secret):
        assert "another `endpoints` command" in tool("endpoints", "rotate", "--url", URL, "--secret-file", str(link))[2]


def test_the_first_stays_if_the_second_is_gone_by_then(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
) -> None:
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints

    def meanwhile() -> None:
        wait_for(lambda: len(sandbox.state.endpoints) == 2)
        del sandbox.state.endpoints[[*sandbox.state.endpoints][1]]

    other = threading.Thread(target=meanwhile)
    other.start()
    code, _, err = tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "1")
    other.join()

    assert (code, "is gone: somebody else was at work" in err) == (1, True)
    assert list(sandbox.state.endpoints) == [old]
    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")[0] == 0


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda n: 202, "an invalid signature"),
        (lambda n: 401 if n == 0 else 202 if n % 4 else 401, "does not take the new secret (401)"),  # one of several
        (lambda n: 302, "does not take the new secret (302)"),
    ],
)
def test_what_proves_nothing(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
    asked: Callable[[int], int],
    said: str,
) -> None:
    with listening() as others:
        others.answer = asked
        url = others.url.partition("?")[0]
        tool("endpoints", "register", "--url", url, "--secret-file", str(secret))

        code, _, err = tool("endpoints", "rotate", "--url", url, "--secret-file", str(secret), "--wait", "2")

    assert (code, said in err) == (1, True)
    assert len(sandbox.state.endpoints) == 2


@pytest.mark.parametrize("deleted", [True, False])
@pytest.mark.parametrize("torn", [True, False])
def test_a_rotation_that_was_broken_off_goes_on(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
    torn: bool,
    deleted: bool,
) -> None:
    """Of which the note is left: before the first endpoint was deleted, or after."""
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints.values()
    new = sandbox.state.add_endpoint(URL, old["events"], "")
    note = Rotation(first=old["id"], endpoint=new["id"], secret=new["secret"], before=old["secret"])
    secret_file.begin_rotation(secret, note)
    if torn:
        secret.write_text("")
    if deleted:
        del sandbox.state.endpoints[old["id"]]

    code, _, _ = tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")

    assert (code, list(sandbox.state.endpoints)) == (0, [new["id"]])
    assert secret.read_text() == f"{new['secret']},{old['secret']}"
    assert secret_file.read_rotation(secret) is None


def test_a_note_of_long_ago_is_none(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints.values()
    secret_file.begin_rotation(secret, Rotation(first="whe_0", endpoint="whe_1", secret="s", before=old["secret"]))

    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")[0] == 0

    (new,) = sandbox.state.endpoints.values()
    assert secret.read_text() == f"{new['secret']},s,{old['secret']}"


def test_a_link_keeps_its_target(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    secret.symlink_to(secret.parent / "elsewhere")

    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))

    assert secret.is_symlink()
    assert len((secret.parent / "elsewhere").read_text()) == 64


def test_an_endpoint_without_types_would_be_told_nothing(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    (old,) = sandbox.state.endpoints.values()
    old["events"] = []
    rotate = ("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")
    assert "name them with --events" in tool(*rotate)[2]
    assert list(sandbox.state.endpoints) == [old["id"]]

    assert "job.faild is not in the catalogue" in tool(*rotate, "--events", "job.failed,job.faild")[2]

    assert tool(*rotate, "--events", "job.failed,job.new", "--new")[0] == 0

    assert [row["events"] for row in sandbox.state.endpoints.values()] == [["job.failed", "job.new"]]


def test_a_full_disk_loses_no_secret(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    register = ("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    secret.touch()
    assert "nothing else has changed" in on_a_full_disk(*register)
    assert (urls(sandbox), secret.read_text()) == ([], "")
    assert tool(*register)[0] == 0
    before = secret.read_text()

    said = on_a_full_disk("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe")

    assert "nothing else has changed" in said
    assert (len(urls(sandbox)), secret.read_text()) == (1, before)
    (old,) = sandbox.state.endpoints.values()
    new = sandbox.state.add_endpoint(URL, old["events"], "")
    note = Rotation(first=old["id"], endpoint=new["id"], secret=new["secret"], before=before)
    secret_file.begin_rotation(secret, note)
    secret.write_text(before)
    assert "both endpoints stay" in on_a_full_disk("endpoints", "rotate", "--url", URL, "--secret-file", str(secret))
    secret.write_text(f"{new['secret']},{before[:20]}")  # the old one was cut off

    assert tool("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")[0] == 0

    assert secret.read_text() == f"{new['secret']},{before}"


FULL = """
import atexit, resource, runpy, sys
before = resource.getrlimit(resource.RLIMIT_FSIZE)
atexit.register(resource.setrlimit, resource.RLIMIT_FSIZE, before)  # what measures coverage writes at the end
resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
runpy.run_module("workers.cli", run_name="__main__", alter_sys=True)
"""


def on_a_full_disk(*words: str) -> str:
    """What the command says where no file can grow."""
    found = subprocess.run([sys.executable, "-c", FULL, *words], cwd=ROOT, capture_output=True, text=True)
    assert (found.returncode, "Traceback" in found.stderr) == (1, False), found.stderr
    return found.stdout + found.stderr


@contextlib.contextmanager
def deaf(sandbox: Sandbox) -> Iterator[Callable[[], Zyra]]:
    """A Zyra whose answer to a creation holds no secret."""
    real = httpx2.HTTPTransport()

    def answer(request: httpx2.Request) -> httpx2.Response:
        found = real.handle_request(request)
        found.read()
        if request.method != "POST":
            return httpx2.Response(found.status_code, content=found.content)
        row = found.json()["data"]
        return httpx2.Response(200, json={"data": {name: row[name] for name in row if name != "secret"}})

    def client() -> Zyra:
        http = httpx2.Client(base_url=sandbox.url, transport=httpx2.MockTransport(answer))
        return Zyra(sandbox.url, caller=Caller(ring=ApiKey(lambda: KEY)), http=http)

    yield client
    real.close()


def test_an_endpoint_whose_secret_cannot_be_read_is_told(
    tool: Tool,
    sandbox: Sandbox,
    secret: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register = ("endpoints", "register", "--url", URL, "--secret-file", str(secret))
    with deaf(sandbox) as client:
        monkeypatch.setattr("workers.cli.commands.endpoints.open_client", client)
        assert "no field that we know as its secret" in tool(*register)[2]
        assert (urls(sandbox), secret.exists()) == ([URL], False)
        sandbox.state.endpoints.clear()
        row = sandbox.state.add_endpoint(URL, ["job.failed"], "")
        secret.write_text(row["secret"])

        code, _, err = tool("endpoints", "rotate", *register[2:], "--no-probe")

    assert (code, "before the present one and a comma" in err) == (1, True)
    assert (urls(sandbox), secret.read_text()) == ([URL, URL], row["secret"])


def test_a_url_that_nobody_answers_keeps_both(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/webhooks/zyra"
    tool("endpoints", "register", "--url", nobody, "--secret-file", str(secret))

    code, _, err = tool("endpoints", "rotate", "--url", nobody, "--secret-file", str(secret), "--wait", "0")

    assert (code, "(ConnectError), so both endpoints stay" in err) == (1, True)


def test_what_is_no_id_or_no_text(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    for url in ("http://hooks.example.com/", "https:///x", "http://127.0.0.1:99999/x", "hooks", "https://[x"):
        assert "must be https" in tool("endpoints", "register", "--url", url, "--secret-file", str(secret))[2]
    assert "no id" in tool("endpoints", "delete", "..")[2]
    secret.write_bytes(b"\xff")
    assert "cannot read" in tool("endpoints", "register", "--url", URL, "--secret-file", str(secret))[2]


def test_without_redis_it_is_said(tool: Tool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")

    code, _, err = tool("endpoints", "list")

    assert (code, "Redis" in err) == (1, True)


def test_what_cannot_be_rotated(tool: Tool, sandbox: Sandbox, secret: Path) -> None:
    rotate = ("endpoints", "rotate", "--url", URL, "--secret-file", str(secret), "--no-probe", "--wait", "0")
    assert "registered 0 times" in tool(*rotate)[2]
    sandbox.state.add_endpoint(URL, ["a"], "")
    assert "does not hold the present secret" in tool(*rotate)[2]
    secret.write_text("present")
    os.mkdir(secret.parent / ".webhook-secret.rotation")
    code, _, err = tool(*rotate)
    assert (code, "cannot write" in err) == (2, True)
    assert len(urls(sandbox)) == 1
    sandbox.state.add_endpoint(URL, ["a"], "")
    assert "registered 2 times" in tool(*rotate)[2]


def test_the_rest(tool: Tool, sandbox: Sandbox) -> None:
    row = sandbox.state.add_endpoint(URL, ["a"], "")

    assert tool("endpoints", "list")[1] == f"{row['id']}\t{URL}\t1\n"
    assert tool("endpoints", "delete", row["id"])[0] == 0
    assert tool("endpoints", "delete", row["id"])[0] == 1
