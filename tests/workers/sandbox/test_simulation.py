"""What happens at the sandbox by itself, or by a hand on its levers."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.support.kit import wait_for
from tests.support.sandbox import KEY, PLENTY, list_deliveries
from workers.sandbox import webhooks
from workers.sandbox.api import create_app
from workers.sandbox.catalogue import CHANGES, TYPES
from workers.sandbox.chaos import parse_chaos
from workers.sandbox.shapes import parse_shape
from workers.sandbox.state import State, User

BEARER = {"authorization": f"Bearer {KEY}"}
Play = Callable[..., TestClient]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setattr(webhooks, "MAX_DELIVERIES", 10_000)
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (60,))
    found = State(tmp_path, KEY)
    found.add_endpoint("http://127.0.0.1:1/x", list(TYPES), "")
    return found


@pytest.fixture
def play(state: State) -> Iterator[Play]:
    """A sandbox whose minute is short."""
    with_lifespan: list[TestClient] = []

    def begin(minute: float = 0.05, life: float = 0.0, how: str = "", seed: int = 1) -> TestClient:
        app = create_app(state, PLENTY, minute, parse_shape(how), parse_chaos("", seed), life)
        with_lifespan.append(TestClient(app, headers=BEARER | {"x-sandbox-token": state.control_token}))
        return with_lifespan[-1].__enter__()

    yield begin
    for http in with_lifespan:
        http.__exit__()


def told(state: State) -> list[tuple[str, dict[str, Any]]]:
    """Types and resources, in order."""
    return [(row["event_type"], json.loads(row["body"])["data"]) for row in list_deliveries(state)]


def trigger(http: TestClient, kind: str, **data: Any) -> int:
    answer = http.post("/sandbox/trigger", json={"type": kind, "data": data})
    assert answer.status_code == 200, answer.text
    return int(answer.json()["endpoints"])


def test_every_type_of_the_catalogue_can_happen_to_something(play: Play, state: State) -> None:
    http = play(minute=600)
    assert set(CHANGES) == set(TYPES)

    for kind in TYPES:
        assert trigger(http, kind) == 1

    for kind, row in told(state)[:18]:
        area, _, after = CHANGES[kind]
        assert row["status"] == after, kind
        assert area == "devices" or row["id"] in state.areas[area], kind


def test_what_happens_changes_what_the_api_says(play: Play, state: State) -> None:
    http = play(minute=600)
    trigger(http, "virtual_server.error", id="vs_0001")
    trigger(http, "device.removed", id="dev_0001")
    trigger(http, "job.failed", id="ft_0001", name="mine")
    trigger(http, "job.failed", id="job_new")
    trigger(http, "job.started", id="job_8")
    wait_for(lambda: state.areas["ml_jobs"]["job_8"]["status"] == "completed")

    assert http.get("/api/v1/virtual-servers/vs_0001").json()["data"]["status"] == "error"
    assert http.get("/api/v1/devices/dev_0001").status_code == 404
    assert state.areas["fine_tuning_jobs"]["ft_0001"]["name"] == "mine"
    assert http.get("/api/v1/ml/jobs/job_new").json()["data"]["status"] == "failed"


def test_a_webhook_alone_changes_nothing(play: Play, state: State) -> None:
    http = play(minute=600)
    late = {"type": "virtual_server.error", "data": {"id": "vs_0001"}, "tell_only": True}

    assert http.post("/sandbox/trigger", json=late).json() == {"endpoints": 1}
    assert state.areas["virtual_servers"]["vs_0001"]["status"] == "running"
    assert trigger(http, "device.sings") == 0


@pytest.mark.parametrize(
    "body",
    [b"[]", b"{", b'{"type": 5}', b'{"type": "job.failed", "data": {"name": 5}}', b"[" * 100_000,
     b'{"type": "virtual_server.error", "data": {"started_at": "yesterday"}}'],
)  # fmt: skip
def test_what_cannot_happen_is_said(play: Play, state: State, body: bytes) -> None:
    http = play(minute=600)
    answer = http.post("/sandbox/trigger", content=body)

    assert (answer.status_code, list(answer.json())) == (422, ["error"])
    assert all(row for rows in state.areas.values() for row in rows.values())
    assert told(state) == []


def test_a_server_that_should_run_and_does_not_is_a_breach(play: Play, state: State) -> None:
    http = play()
    (kind, breach) = wait_for(lambda: told(state))[0]
    assert (kind, breach["virtual_server_id"], breach["status"]) == ("sla.breach.started", "vs_0002", "open")
    http.post("/api/v1/virtual-servers/vs_0002/start")  # vs_0003 was stopped on purpose

    wait_for(lambda: "sla.breach.resolved" in [kind for kind, _ in told(state)])

    assert state.areas["breaches"][breach["id"]]["status"] == "resolved"
    http.post("/api/v1/virtual-servers/vs_0002/stop")
    trigger(http, "virtual_server.stopped", id="vs_0001")
    wait_for(
        lambda: "vs_0001" in [row["virtual_server_id"] for kind, row in told(state) if kind == "sla.breach.started"]
    )


def test_a_month_ends_with_what_the_servers_have_cost(play: Play, state: State) -> None:
    http = play()
    for name in ("vs_0001", "vs_0002"):
        state.areas["virtual_servers"][name] |= {"started_at": "2026-11-01T00:00:00Z", "cost_per_hour": "0.25"}
    trigger(http, "invoice.generated", card="declined")
    (_, invoice) = told(state)[0]

    def types() -> list[str]:
        return [kind for kind, row in told(state) if row["id"] == invoice["id"]]

    wait_for(lambda: types() == ["invoice.generated", "payment.failed", "invoice.paid"])
    assert Decimal(invoice["subtotal"]) == Decimal(state.areas["virtual_servers"]["vs_0001"]["total_cost"]).quantize(
        Decimal("0.01")
    )
    assert Decimal(invoice["total"]) == Decimal(invoice["subtotal"]) + Decimal(invoice["tax_amount"])
    assert Decimal(invoice["tax_amount"]) > 0
    assert invoice["invoice_number"].endswith(invoice["id"][-5:].replace("_", "-"))


def test_an_invoice_may_be_told_as_a_draft(play: Play, state: State) -> None:
    http = play(how="invoice=draft")
    state.areas["organizations"].clear()
    trigger(http, "invoice.generated", id="inv_9")

    assert told(state)[0][1]["status"] == "draft"
    wait_for(lambda: state.areas["invoices"]["inv_9"]["status"] == "paid")
    assert state.areas["invoices"]["inv_9"]["tax_amount"] == "0.00"


def test_a_paid_invoice_is_not_paid_twice(play: Play, state: State) -> None:
    http = play(minute=0.2)
    trigger(http, "invoice.generated", id="inv_9")
    trigger(http, "invoice.paid", id="inv_9")
    trigger(http, "invoice.generated", id="inv_8")

    wait_for(lambda: state.areas["invoices"]["inv_8"]["status"] == "paid")

    assert Counter(kind for kind, row in told(state) if row["id"] == "inv_9")["invoice.paid"] == 1


def test_by_chance_everything_happens(play: Play, state: State) -> None:
    play(minute=0.2, life=20)

    wait_for(lambda: {kind for kind, _ in told(state)} == set(TYPES), 30)


def test_keys_are_made_and_revoked(play: Play, state: State) -> None:
    http = play()
    made = http.post("/sandbox/keys", json={"user": "m@x.test", "role": "org_member"}).json()
    member = {"authorization": f"Bearer {made['key']}"}
    assert http.get("/api/v1/devices", headers=member).status_code == 200
    assert http.get("/api/v1/invoices", headers=member).status_code == 403
    shown = http.get("/sandbox/state").json()
    assert {"prefix": made["key"][:18], "user": "m@x.test", "role": "org_member"} in shown["keys"]
    assert made["key"] not in json.dumps(shown)

    assert http.delete(f"/sandbox/keys/{made['key'][:18]}").json() == {"revoked": 1}

    assert http.get("/api/v1/devices", headers=member).status_code == 401
    assert http.delete(f"/sandbox/keys/{made['key'][:18]}").status_code == 404
    assert http.post("/sandbox/keys", content=b"[]").status_code == 422
    assert [http.post("/sandbox/keys").status_code for _ in range(10)] == [200] * 9 + [409]
    admin = {"user": "m@x.test", "role": "org_admin"}
    assert http.post("/sandbox/keys", json=admin).json() == {"error": "m@x.test is org_member"}
    assert state.users == {"m@x.test": User(state.users["m@x.test"].password, "org_member")}
