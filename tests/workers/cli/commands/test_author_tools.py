"""From production to test: `events capture` and `handlers diff`."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from receiver.contract.keys import hash_handler
from receiver.contract.seal import Seal
from tests.support.kit import ROOT, Tool, accept, dispatch, run
from tests.support.sandbox import KEY, Sandbox
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict
from workers.testing import load_event
from workers.testing.fixtures import redact

CODE = """
from workers import AsyncZyra, Event, Router, Zyra

router = Router()


@router.on("virtual_server.error", name="zr_mine.act", max_attempts=1)
def act(event: Event, zyra: Zyra) -> None:
    if event.payload["data"].get("plan") == "free":
        raise LookupError(f"no plan of {event.payload['data']['email']}")
    zyra.virtual_servers.stop(event.resource_id)
    {more}


@router.on("virtual_server.error", name="zr_mine.calm")
async def calm(event: Event, zyra: AsyncZyra) -> None:
    await zyra.virtual_servers.get(event.resource_id)
{last}
"""
EMAIL = "somebody@example.com"
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the module of handlers, with more code in it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name, value in {"WORKER_HANDLERS": "zr_mine", "ZYRA_API_KEY": KEY}.items():
        monkeypatch.setenv(name, value)

    def write(more: str = "pass", last: str = "") -> None:
        (tmp_path / "zr_mine.py").write_text(CODE.replace("{more}", more).replace("{last}", last))
        sys.modules.pop("zr_mine", None)

    write()
    yield write
    sys.modules.pop("zr_mine", None)


@pytest.fixture
def handled(
    ledger: Ledger, seal: Seal, sandbox: Sandbox, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Has a real worker handle an event."""
    monkeypatch.setenv("ZYRA_API_URL", sandbox.url)
    monkeypatch.setenv("ZYRA_API_LIMITS", "create=1000,read=1000")

    def handle(**data: Any) -> str:
        body = json.dumps({"data": {"id": "vs_0001", **data}}).encode()
        event = accept(ledger, seal, body, kind="virtual_server.error")
        run("workers.cli", "work", "--burst", env={"PYTHONPATH": f"{ROOT}:{tmp_path}"})
        return event

    return handle


def test_a_captured_event_fails_in_its_test_as_its_run_did(
    tool: Tool, handled: Callable[..., str], tmp_path: Path
) -> None:
    event = handled(plan="free", email=EMAIL)

    code, out, err = tool("events", "capture", event, "--keep", "data.plan")

    assert code == 0, out + err
    assert "it fails as the run did: LookupError: no plan of xxxxxxxx@xxxxxxx.xxx" in out
    assert EMAIL not in (tmp_path / "tests" / f"{event}.json").read_text()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tmp_path, env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tested.returncode == 1
    assert "LookupError('no plan of xxxxxxxx@xxxxxxx.xxx')" in tested.stdout
    assert "already exists" in tool("events", "capture", event)[2]

    code, _, err = tool("events", "capture", event, "--into", "other")

    assert code == 1
    assert "the fixture ends done, but the run failed with LookupError: perhaps a redacted text matters" in err
    assert load_event(tmp_path / "other" / f"{event}.json").id == event


def test_what_cannot_be_captured_is_said(tool: Tool, write: Write, ledger: Ledger, seal: Seal) -> None:
    event = accept(ledger, seal, kind="virtual_server.error")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["gone", "zr_mine.calm"])

    two_failed = accept(ledger, seal, kind="virtual_server.error")
    dispatch(ledger, ledger.take([], 5)[-1], "dispatched", "", ["zr_mine.act", "zr_mine.calm"])
    failed = [claim for claim in ledger.take([], 5) if claim.event == two_failed]
    ledger.finish([Outcome(unit=one.unit, token=one.token, verdict=Verdict.DEAD) for one in failed])
    ledger.client.delete(ledger.keys.body(two_failed))

    for arguments, message in (
        (("evt_none",), "there is no event"),
        ((two_failed,), "several runs failed: choose one with --handler: zr_mine.act, zr_mine.calm"),
        ((two_failed, "--handler", "zr_mine.calm"), f"cannot read {two_failed}: the event, or its body, is not kept"),
        ((event,), "no run failed: choose one with --handler: gone, zr_mine.calm"),
        ((event, "--handler", "none"), "no run of none: choose one with --handler"),
        ((event, "--handler", "gone"), "the handler gone is not loaded"),
    ):
        code, _, err = tool("events", "capture", *arguments)
        assert (code, message in err) == (1, True), err


def test_redaction_keeps_structure_numbers_ids_and_what_is_asked_for() -> None:
    value = {
        "id": "vs_1", "customerId": "c_9", "status": "error", "at": "2026-01-01", "name": "Äda L", "n": 5,
        "list": [{"note": "a-b"}], "email_id": "a@b.c", "plan": "free", "none": None, "long_id": "a" * 65,
    }  # fmt: skip

    assert redact(value, {"plan"}) == value | {
        "name": "xxx x", "list": [{"note": "x-x"}], "email_id": "x@x.x", "long_id": "x" * 65,
    }  # fmt: skip


def dump(client: redis.Redis) -> dict[bytes, bytes]:
    return {key: client.dump(key) for key in client.scan_iter()}  # type: ignore[misc]


def test_diff_names_what_a_changed_line_would_do(
    tool: Tool, handled: Callable[..., str], write: Write, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine, failed = handled(), handled(plan="free", email=EMAIL)
    before = dump(client)
    connects = list[Any]()
    real = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda own, to: (connects.append(to), real(own, to)))

    def diff(*options: str) -> tuple[int, list[str]]:
        code, out, _ = tool("handlers", "diff", *options)
        return code, out.splitlines()

    assert diff() == (0, ["2 events, 4 runs: 0 would differ"])
    write(more="zyra.virtual_servers.start(event.resource_id)")
    assert diff() == (
        1,
        [
            f"zr_mine.act: 1 runs: would also call POST /api/v1/virtual-servers/{{id}}/start; such as {fine}",
            "2 events, 4 runs: 1 would differ",
        ],
    )
    write(more="import socket; socket.create_connection(('127.0.0.1', 9))", last="    raise ValueError('new')")
    code, lines = diff("--each")
    assert code == 1
    assert (
        f"{fine} zr_mine.act: would fail: ConnectionRefusedError: `handlers diff` opens no connection; it was done"
        in lines
    )
    assert f"{failed} zr_mine.calm: would fail: ValueError: new; it was done" in lines
    assert dump(client) == before
    assert {str(to) for to in connects} <= {str(client.connection_pool.connection_kwargs["path"])}


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('== "free"', '== "other"', "would be done; it failed with LookupError"),
        ("raise LookupError", "raise KeyError", "would fail with KeyError; it failed with LookupError"),
        ('"virtual_server.error", name="zr_mine.act"', '"job.failed", name="zr_mine.act"', "would not run any more"),
        ("zr_mine.calm", "zr_mine.new", "would run now, but did not before"),
        (
            'name="zr_mine.calm"',
            'name="zr_mine.odd", when=lambda event: 1 / 0',
            "zr_mine.odd: 1 runs: would run now, but did not before",
        ),
        ("async def calm", "import nothing_of_it\ndef calm", None),
    ],
)
def test_each_kind_of_difference_is_named(
    tool: Tool, handled: Callable[..., str], tmp_path: Path, old: str, new: str, what: str | None
) -> None:
    handled(plan="free", email=EMAIL)
    path = tmp_path / "zr_mine.py"
    path.write_text(path.read_text().replace(old, new, 1))
    sys.modules.pop("zr_mine", None)

    code, out, err = tool("handlers", "diff")

    assert code == (1 if what else 2)
    assert (what or "handler module 'zr_mine'") in out + err


def test_other_fields_and_other_calls_are_told_apart(tool: Tool, handled: Callable[..., str], write: Write) -> None:
    write(more="zyra.virtual_servers.resize(event.resource_id, vcpus=2)")
    handled()

    for more, what in (
        ("zyra.virtual_servers.resize(event.resource_id, vcpus=4)", "with other fields"),
        ("zyra.virtual_servers.start(event.resource_id)", "instead of"),
        ("pass", "any more"),
    ):
        write(more=more)
        code, out, _ = tool("handlers", "diff")
        assert code == 1
        assert what in out


def test_what_cannot_be_compared_is_said(tool: Tool, handled: Callable[..., str], ledger: Ledger, seal: Seal) -> None:
    gone, kept = handled(), handled()
    waiting = accept(ledger, seal, b'{"data": {"id": "vs_0001"}}', kind="virtual_server.error")
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["zr_mine.act", "zr_mine.calm"])
    ledger.client.delete(ledger.keys.body(gone))
    run = f"{kept}-{hash_handler('zr_mine.act')}"
    for field in ledger.client.hkeys(ledger.keys.name(f"calls:{run}")):
        ledger.client.hset(ledger.keys.name(f"calls:{run}"), field, b"junk")

    code, out, err = tool("handlers", "diff")

    assert (code, waiting in out) == (1, False)
    assert "1 events are not compared: the event, or its body, is not kept any more" in err
    assert "zr_mine.act: 1 runs: its calls cannot be decrypted" in out
    assert "3 events, 4 runs: 1 would differ" in out
