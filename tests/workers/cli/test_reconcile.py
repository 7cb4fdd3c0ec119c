"""`events reconcile` against the sandbox, with events that got lost."""

import json
from typing import Any

import pytest

from receiver.contract.seal import Seal
from tests.kit import accept
from tests.sandbox import KEY, Sandbox
from workers import Router, query
from workers.dispatch import decide
from workers.ledger import Ledger

from .test_commands import Tool, tool  # noqa: F401 - a fixture


def heard(ledger: Ledger, seal: Seal, kind: str, resource: str) -> None:
    accept(ledger, seal, json.dumps({"data": {"id": resource}}).encode(), kind)


def gaps(found: tuple[int, str, str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found[1].splitlines()]


def test_what_was_lost_is_told_and_made_once(
    tool: Tool,  # noqa: F811
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
) -> None:
    heard(ledger, seal, "virtual_server.started", "vs_0002")  # by now it stands in error
    heard(ledger, seal, "virtual_server.started", "vs_0001")
    heard(ledger, seal, "device.online", "dev_9999")  # by now it is gone
    accept(ledger, seal, b"no json", "device.online")

    told = tool("events", "reconcile", "--json")
    assert told[0] == 1
    assert {(gap["resource"], gap["missing"]) for gap in gaps(told)} == {
        ("vs_0002", "virtual_server.error"), ("dev_9999", "device.removed"),
    }  # fmt: skip

    filled = tool("events", "reconcile", "--json", "--backfill")
    assert filled[0] == 0
    assert all(gap["backfilled"].startswith("accepted evt_") for gap in gaps(filled))
    again = tool("events", "reconcile")
    assert (again[0], "0 missing; " in again[1]) == (0, True)
    made = [one for one in query.search(ledger, query.Filter(limit=10)) if one["origin"] == "reconciled"]
    assert {one["type"] for one in made} == {"virtual_server.error", "device.removed"}


def test_also_of_what_nobody_heard(tool: Tool, sandbox: Sandbox) -> None:  # noqa: F811
    code, out, _ = tool("events", "reconcile", "--unheard")

    assert code == 1
    assert "virtual servers\tvs_0002\terror\tvirtual_server.error\tnothing\t-" in out
    assert out.endswith("missing\n")


def test_a_refusal_of_zyra(tool: Tool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    sandbox.state.revoke(KEY)

    code, out, _ = tool("events", "reconcile")

    assert (code, "Zyra refused" in out) == (1, True)


def test_only_who_asks_for_them_gets_reconciled_events(ledger: Ledger, seal: Seal) -> None:
    router = Router()
    seen: list[str] = []
    router.on("device.online", name="plain")(lambda event: seen.append("plain"))
    router.on("device.online", name="asks", reconciled=True)(lambda event: seen.append("asks"))
    accept(ledger, seal, kind="device.online", origin="reconciled")
    accept(ledger, seal, kind="device.online")

    handlers = [decide(claim, router, seal).decision.handlers for claim in ledger.take([], 2)]

    assert handlers == [("asks",), ("plain", "asks")]
