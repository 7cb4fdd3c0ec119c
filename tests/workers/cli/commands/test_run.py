"""One attempt in the foreground."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.contract.seal import Seal
from tests.support.kit import ROOT, Tool, accept, dispatch
from tests.support.sandbox import KEY, Sandbox
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict

CODE = """
from workers import AsyncZyra, Event, GiveUp, RetryLater, Router, Zyra, allow, post

router = Router()


@router.on("virtual_server.error", name="mine.stop")
def stop(event: Event, zyra: Zyra) -> None:
    print("stops", event.resource_id, event.key[:4], allow("x", 1, 60), allow("x", 1, 60))
    zyra.virtual_servers.stop(event.resource_id)
    post("https://example.com/hook", json={"a": 1})
    kind = event.payload["data"].get("raise")
    if kind:
        raise {"later": RetryLater(7), "never": GiveUp("never"), "bug": ValueError("a bug")}[kind]


@router.on("virtual_server.error", name="mine.wait")
async def wait(event: Event, zyra: AsyncZyra) -> None:
    if event.payload["data"].get("raise"):
        zyra.virtual_servers.stop("vs_1")
    print((await zyra.virtual_servers.get(event.resource_id)).status)


@router.on("job.failed", name="yours.stop")
def other(event: Event) -> None: ...
"""
Make = Callable[..., str]


@pytest.fixture
def body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A file with a body, beside the module with the handlers."""
    (tmp_path / "zr_run.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WORKER_HANDLERS", "zr_run")

    def make(**data: str) -> str:
        path = tmp_path / "body.json"
        path.write_text(json.dumps({"event": "virtual_server.error", "data": {"id": "vs_7", **data}}))
        return str(path)

    yield make
    sys.modules.pop("zr_run", None)


@pytest.mark.usefixtures("env")
def test_calls_and_posts_are_recorded_and_not_sent(tool: Tool, body: Make) -> None:
    code, out, err = tool("run", "mine.stop", "--event", body())

    assert code == 0
    first, *rest = out.splitlines()
    assert first.startswith("stops vs_7 ")
    assert first.endswith(" True False")
    assert rest[:2] == [
        "not sent: POST /api/v1/virtual-servers/vs_7/stop: answered 200",
        'not sent: post to https://example.com/hook: {"a": 1}',
    ]
    assert rest[2].startswith("done in ")
    assert "--really" in err


@pytest.mark.usefixtures("env")
@pytest.mark.parametrize(
    ("kind", "then"),
    [
        ("later", "RetryLater: again in 7 s; a worker would attempt it again in 7 s"),
        ("never", "GiveUp: never; its run would be a dead letter"),
        ("bug", "ValueError: a bug; a worker would attempt it again in"),
    ],
)
def test_what_a_failure_means_is_said(tool: Tool, body: Make, kind: str, then: str) -> None:
    code, out, err = tool("run", "mine.stop", "--event", body(**{"raise": kind}))

    assert code == 1
    assert then in out.splitlines()[-1]
    assert "zr_run.py" in err
    assert "foreground.py" not in err


@pytest.mark.usefixtures("env")
def test_an_async_handler_runs_as_well(tool: Tool, body: Make) -> None:
    assert tool("run", "wait", "--event", body())[1].startswith("error\nnot sent: GET /api/v1/virtual-servers/vs_7")

    code, out, _ = tool("run", "wait", "--event", body(**{"raise": "unawaited"}))

    assert code == 1
    assert "TypeError: never awaited, so never sent: virtual_servers.stop" in out


@pytest.mark.usefixtures("env")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("stop", "several handlers end with 'stop': mine.stop, yours.stop"),
        ("mine.stpo", "there is no handler 'mine.stpo'; did you mean 'mine.stop'?"),
        ("wiat", "there is no handler 'wiat'; did you mean 'mine.wait'?"),
        ("xyz", "there is no handler 'xyz'; there are: mine.stop, mine.wait, yours.stop"),
    ],
)
def test_a_wrong_name_is_named(tool: Tool, body: Make, name: str, message: str) -> None:
    assert tool("run", name, "--event", body())[0::2] == (2, f"error: {message}\n")


@pytest.mark.usefixtures("env")
def test_a_handler_that_a_worker_would_not_run_says_so(tool: Tool, body: Make) -> None:
    code, _, err = tool("run", "yours.stop", "--event", body())

    assert code == 0
    assert "a worker would not run it: it is for zyra job.failed" in err


@pytest.mark.usefixtures("env")
def test_the_debugger_opens_where_it_raised(body: Make, tmp_path: Path) -> None:
    """In a process of its own: a debugger that is left ends the measurement of coverage."""
    made = subprocess.run(
        [sys.executable, "-m", "workers.cli", "run", "mine.stop", "--event", body(**{"raise": "bug"}), "--debug"],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}, input="p kind\nq\n", capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert made.returncode == 1
    assert "(Pdb) 'bug'" in made.stdout


def test_really_calls_the_api(
    tool: Tool, body: Make, ledger: Ledger, seal: Seal, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZYRA_API_URL", sandbox.url)
    monkeypatch.setenv("ZYRA_API_KEY", KEY)
    body()
    event = accept(ledger, seal, b'{"data": {"id": "vs_0001"}}', kind="virtual_server.error")

    code, out, _ = tool("run", "wait", "--event", event, "--really")

    assert (code, out.splitlines()[0]) == (0, "running")
    assert ledger.client.zcard(ledger.keys.name("pending")) == 1


def test_handlers_and_run_need_nothing_but_the_modules(tool: Tool, body: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEAL_KEY", "REDIS_URL", "ZYRA_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    code, out, _ = tool("handlers")
    assert (code, "mine.stop" in out) == (0, True)
    code, out, _ = tool("run", "mine.stop", "--event", body(), "--type", "virtual_server.error")
    assert (code, "not sent: POST" in out) == (0, True)
    for text, fault in ((None, "WORKER_HANDLERS is not set"), ("a,,b", "WORKER_HANDLERS is empty or has an empty")):
        monkeypatch.delenv("WORKER_HANDLERS") if text is None else monkeypatch.setenv("WORKER_HANDLERS", text)
        code, _, err = tool("handlers")
        assert (code, fault in err) == (2, True)


def test_what_runs_for_dead_letters_can_be_run_here(
    tool: Tool, ledger: Ledger, seal: Seal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zr_dead.py").write_text(
        "from workers import Event, Router\nrouter = Router()\n\n"
        "@router.on('job.failed', name='work')\ndef work(event: Event) -> None: ...\n\n"
        "@router.on_dead\ndef page(event: Event) -> None:\n    print('failed:', *(one.error for one in event.failures))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WORKER_HANDLERS", "zr_dead")
    event = accept(ledger, seal, kind="job.failed")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["work"])
    (claim,) = ledger.take([], 1)
    ledger.finish([Outcome(unit=claim.unit, token=claim.token, verdict=Verdict.DEAD, error="ValueError: no")])

    code, out, _ = tool("run", "page", "--event", event)
    _, listed, _ = tool("handlers")
    _, asked, _ = tool("handlers", "--event", event)

    assert (code, "failed: ValueError: no" in out) == (0, True)
    assert "zr_dead.page\t(dead letters)" in listed
    assert "zr_dead.page: no: it runs for dead letters of its router" in asked
    sys.modules.pop("zr_dead", None)
