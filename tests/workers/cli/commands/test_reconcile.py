"""`events reconcile` against the sandbox, with events that got lost."""

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from receiver.contract.seal import Seal
from tests.support.kit import Tool, accept
from tests.support.sandbox import KEY, Sandbox
from workers import RetryLater, Router, Zyra
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.runtime.dispatch import plan
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey

Answer = Callable[[httpx2.Request], httpx2.Response]
Other = Callable[[Answer], None]
RECONCILE = ("events", "reconcile", "--settle", "0")


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Puts another API in the place of the sandbox."""

    def put(answer: Answer) -> None:
        def made() -> Zyra:
            http = httpx2.Client(base_url="http://zyra.test", transport=httpx2.MockTransport(answer))
            return Zyra("http://zyra.test", caller=Caller(ring=ApiKey(lambda: KEY)), http=http)

        monkeypatch.setattr("workers.cli.commands.reconcile.open_client", made)

    return put


def heard(ledger: Ledger, seal: Seal, kind: str, resource: str) -> None:
    accept(ledger, seal, json.dumps({"data": {"id": resource}}).encode(), kind)


def gaps(found: tuple[int, str, str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found[1].splitlines()]


def test_events_that_tell_no_resource_cannot_be_compared(
    tool: Tool, sandbox: Sandbox, ledger: Ledger, seal: Seal
) -> None:
    accept(ledger, seal, b'{"id": "vs_0002", "status": "running"}', "virtual_server.started")

    code, _, err = tool(*RECONCILE)

    assert code == 1
    assert "none of the last 1 events tells the id of its resource, so nothing can be compared" in err
    assert 'under [sources.zyra]: resource_id = ["data.id"]' in err


def test_what_was_lost_is_told_and_made_once(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
) -> None:
    heard(ledger, seal, "virtual_server.started", "vs_0002")  # by now it stands in error
    heard(ledger, seal, "virtual_server.started", "vs_0001")
    heard(ledger, seal, "device.online", "dev_9999")  # by now it is gone
    accept(ledger, seal, b"no json", "device.online")

    told = tool(*RECONCILE, "--json")
    assert told[0] == 1
    assert {(gap["resource"], gap["missing"]) for gap in gaps(told)} == {
        ("vs_0002", "virtual_server.error"), ("dev_9999", "device.removed"),
    }  # fmt: skip

    filled = tool(*RECONCILE, "--json", "--backfill")
    assert filled[0] == 0
    assert all(gap["backfilled"].startswith("accepted evt_") for gap in gaps(filled))
    again = tool(*RECONCILE)
    assert (again[0], "0 events missing. " in again[1]) == (0, True)
    made = [one for one in query.search(ledger, query.Filter(limit=10)) if one["origin"] == "reconciled"]
    assert {one["type"] for one in made} == {"virtual_server.error", "device.removed"}


def test_also_of_what_nobody_heard(tool: Tool, sandbox: Sandbox) -> None:
    code, out, _ = tool(*RECONCILE, "--unheard")

    assert code == 1
    assert "virtual servers\tvs_0002\terror\tvirtual_server.error\tnothing\t-" in out
    assert out.endswith("missing\n")


def test_a_refusal_of_zyra(tool: Tool, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.state.revoke(KEY)

    code, _, err = tool(*RECONCILE)

    assert (code, "the API key is revoked" in err) == (1, True)


def test_only_who_asks_for_them_gets_reconciled_events(ledger: Ledger, seal: Seal) -> None:
    router = Router()
    seen: list[str] = []
    router.on("device.online", name="plain")(lambda event: seen.append("plain"))
    router.on("device.online", name="asks", reconciled=True)(lambda event: seen.append("asks"))
    accept(ledger, seal, kind="device.online", origin="reconciled")
    accept(ledger, seal, kind="device.online")

    decisions = [plan(claim, router, seal).decision for claim in ledger.take([], 2)]

    assert [[run.handler for run in one.runs] for one in decisions] == [["asks"], ["plain", "asks"]]


def test_a_page_that_shifts_while_it_is_read_is_no_loss(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
    other: Other,
) -> None:
    """What is not listed is asked for: only the API's own word says that it is gone."""
    answers: dict[str, tuple[int, Any]] = {"here": (200, {"data": {"id": "here", "status": "online"}}),
               "gone": (404, {"error": {"code": "not_found", "message": "no"}}),
               "removed": (200, {"data": {"id": "removed", "status": "REMOVED"}}),
               "proxied": (404, "<html>")}  # fmt: skip
    for name in answers:
        heard(ledger, seal, "device.online", name)

    def answer(request: httpx2.Request) -> httpx2.Response:
        status, found = answers.get(request.url.path.rpartition("/")[2], (200, {"data": []}))
        return httpx2.Response(status, json=found) if isinstance(found, dict) else httpx2.Response(status, text=found)

    other(answer)

    assert {gap["resource"] for gap in gaps(tool(*RECONCILE, "--json"))} == {"gone", "removed"}


def test_things_without_ids_cannot_be_compared(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
    other: Other,
) -> None:
    heard(ledger, seal, "virtual_server.started", "vs_1")
    other(
        lambda _: httpx2.Response(200, json={"data": {"warnings": [], "items": [{"vs_id": "vs_1"}], "total": 1}}),
    )

    code, _, err = tool(*RECONCILE, "--backfill")

    assert (code, "without ids" in err) == (1, True)


def test_a_second_loss_of_the_same_kind_is_filled_too(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
) -> None:
    made = []
    for _ in range(2):
        heard(ledger, seal, "virtual_server.started", "vs_0002")  # repaired; and lost again
        made += gaps(tool(*RECONCILE, "--json", "--backfill"))

    assert [gap["backfilled"].split()[0] for gap in made] == ["accepted", "accepted"]


def test_a_webhook_that_came_meanwhile_is_not_missing(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
) -> None:
    heard(ledger, seal, "virtual_server.started", "vs_0002")
    late = threading.Timer(1.0, heard, (ledger, seal, "virtual_server.error", "vs_0002"))
    late.start()

    code, out, _ = tool("events", "reconcile", "--settle", "2", "--json", "--backfill")

    late.join()
    assert (code, out) == (0, "")


def test_one_list_that_is_refused_hides_no_other(
    tool: Tool,
    sandbox: Sandbox,
    ledger: Ledger,
    seal: Seal,
    other: Other,
) -> None:
    """The key of an org_member sees no invoices; another call has no room in the budget."""
    heard(ledger, seal, "virtual_server.started", "vs_1")
    heard(ledger, seal, "device.online", "..")

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/invoices"):
            return httpx2.Response(403, json={"error": {"code": "forbidden", "message": "no"}})
        if "jobs" in request.url.path:
            raise RetryLater(5, "Redis does not answer")
        if request.url.path.endswith("/virtual-servers"):
            return httpx2.Response(200, json={"data": [{"id": "vs_1", "status": "error"}], "total": 1})
        return httpx2.Response(200, json={"data": []})

    other(answer)

    code, out, err = tool(*RECONCILE, "--json", "--backfill")

    assert [gap["resource"] for gap in gaps((code, out, err))] == ["vs_1"]
    assert code == 1
    assert "invoices could not be compared" in err
    assert "jobs could not be compared: Redis does not answer" in err


def test_under_another_name(tool: Tool, sandbox: Sandbox, ledger: Ledger, seal: Seal) -> None:
    heard(ledger, seal, "virtual_server.started", "vs_0002")

    assert "0 events missing" in tool(*RECONCILE, "--source", "prod")[1]
