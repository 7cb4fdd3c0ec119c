"""The sandbox without a server."""

import asyncio
import socket
from typing import Any

import pytest

from workers.sandbox.in_process import SandboxInProcess, drive
from workers.zyra.errors import ZyraError


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_it_plays_the_api_for_both_clients() -> None:
    sandbox = SandboxInProcess()
    zyra, other = sandbox.make_client(), sandbox.make_client(is_async=True)

    zyra.virtual_servers.stop("vs_0001")
    zyra.virtual_servers.start("vs_0001")

    assert asyncio.run(read_status(other, "vs_0001")) == "running"
    assert zyra.ml_jobs.get(zyra.ml_jobs.submit(name="x").id).status == "completed"
    assert [str(call) for call in sandbox.calls[:2]] == [
        "POST /api/v1/virtual-servers/vs_0001/stop",
        "POST /api/v1/virtual-servers/vs_0001/start",
    ]
    assert str(sandbox.calls[3]) == 'POST /api/v1/ml/jobs {"name":"x"}'
    assert sandbox.calls[0].status == 200


async def read_status(zyra: Any, name: str) -> str:
    return str((await zyra.virtual_servers.get(name)).status)


def test_an_event_puts_its_resource_there() -> None:
    sandbox = SandboxInProcess()

    sandbox.tell("virtual_server.error", "vs_31337", {"name": "db-1"})
    sandbox.tell("op.note", "x_1", None)

    sandbox.tell("virtual_server.error", "vs_0001", {})
    sandbox.add("virtual_servers", "vs_9", status="stopped")
    sandbox.tell("virtual_server.error", "vs_9", {})

    assert sandbox.state.areas["virtual_servers"]["vs_0001"]["status"] == "error"
    assert sandbox.state.areas["virtual_servers"]["vs_9"]["status"] == "stopped"
    server = sandbox.make_client().virtual_servers.get("vs_31337")
    assert (server.status, server.name) == ("error", "db-1")


def test_it_may_know_every_id() -> None:
    with pytest.raises(ZyraError, match="404"):
        SandboxInProcess().make_client().invoices.get("inv_9")

    sandbox = SandboxInProcess(pretends=True)
    assert sandbox.make_client().invoices.get("inv_9").invoice_number.endswith("0009")
    with pytest.raises(ZyraError, match="404"):
        sandbox.make_client().request("GET", "/api/v1/audit-log/a_1")


def test_endpoints_leave_no_file() -> None:
    zyra = SandboxInProcess().make_client()

    made = zyra.request(
        "POST", "/api/v1/webhooks/endpoints", body={"url": "https://example.com", "events": ["job.failed"]}
    )

    assert len(made["secret"]) == 64


def test_what_has_to_wait_is_refused() -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    loop = asyncio.new_event_loop()

    async def future() -> None:
        await asyncio.Future(loop=loop)

    with pytest.raises(RuntimeError):
        drive(wait())
    with pytest.raises(RuntimeError, match="the sandbox waits for"):
        drive(future())
    loop.close()
