"""The sandbox behaves as Zyra's pages say."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from receiver.schemes import load_schemes
from workers.sandbox.api import create_app
from workers.sandbox.catalogue import TYPES
from workers.sandbox.state import State, User

KEY = {"authorization": "Bearer k"}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path, "k")


@pytest.fixture
def http(state: State) -> TestClient:
    return TestClient(
        create_app(state, {"create": 1000, "read": 1000}), headers=KEY | {"x-sandbox-token": state.control_token}
    )


def data(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert (document["success"], document["meta"]["request_id"][:4]) == (True, "req_")
    return document["data"]


def refused(answer: Any) -> tuple[int, str]:
    document = answer.json()
    assert set(document["error"]) == {"code", "message", "details", "request_id"}
    return answer.status_code, document["error"]["code"]


def test_a_server_stands_in_error_and_can_be_restarted(http: TestClient) -> None:
    path = "/api/v1/virtual-servers/vs_0002"
    with http:
        assert data(http.get(path))["status"] == "error"
        assert data(http.post(path + "/stop"))["status"] == "stopped"
        assert refused(http.post(path + "/stop")) == (409, "conflict")
        assert data(http.post(path + "/start"))["status"] == "starting"
        from tests.support.kit import wait_for

        wait_for(lambda: data(http.get(path))["status"] == "running")
        assert refused(http.post(path + "/start")) == (409, "conflict")
        assert data(http.post(path + "/resize", json={"vcpus": 8}))["vcpus"] == 8
        assert data(http.delete(path))["status"] == "terminated"


def test_servers_are_created(http: TestClient) -> None:
    made = data(http.post("/api/v1/virtual-servers", json={"name": "new"}))

    assert (made["id"], made["status"]) == ("vs_0004", "running")
    assert refused(http.post("/api/v1/virtual-servers", json=[])) == (422, "invalid")
    assert refused(http.post("/api/v1/virtual-servers", content=b"{")) == (422, "invalid")


def test_devices_are_approved_once_and_removed(http: TestClient) -> None:
    assert data(http.post("/api/v1/devices/dev_0003/approve"))["status"] == "online"
    assert refused(http.post("/api/v1/devices/dev_0003/approve")) == (409, "conflict")
    assert data(http.delete("/api/v1/devices/dev_0003"))["status"] == "removed"
    assert refused(http.get("/api/v1/devices/dev_0003")) == (404, "not_found")


def test_lists_have_pages_and_a_total(http: TestClient) -> None:
    answer = http.get("/api/v1/virtual-servers", params={"offset": 1, "limit": 1})

    assert [row["id"] for row in data(answer)] == ["vs_0002"]
    assert answer.json()["meta"]["total"] == 3
    assert [row["id"] for row in data(http.get("/api/v1/devices", params={"status": "online"}))] == ["dev_0001"]
    assert refused(http.get("/api/v1/invoices", params={"limit": "x"})) == (422, "invalid")
    assert data(http.get("/api/v1/invoices/inv_0001"))["total"] == "48.00"


def test_a_key_is_needed(http: TestClient) -> None:
    for headers in ({"authorization": "k"}, {"authorization": "Bearer wrong"}, {"authorization": ""}):
        assert refused(http.get("/api/v1/devices", headers=headers)) == (401, "unauthorized")


def test_unknown_paths_are_404(http: TestClient) -> None:
    assert refused(http.get("/api/v1/nothing")) == (404, "not_found")


def test_the_catalogue_is_the_one_the_receiver_knows() -> None:
    """Written down twice, since the sandbox is an independent check."""
    assert set(TYPES) == set(load_schemes()["zyra"].types)


def test_limits_are_per_endpoint(state: State) -> None:
    http = TestClient(create_app(state), headers=KEY | {"x-sandbox-token": state.control_token})

    codes = [http.post("/api/v1/virtual-servers", json={"name": "x"}).status_code for _ in range(6)]

    assert codes == [200] * 5 + [429]
    answer = http.post("/api/v1/virtual-servers", json={"name": "x"})
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert http.get("/api/v1/virtual-servers").status_code == 200


def test_limits_are_for_a_minute(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(state, {"read": 1})
    http = TestClient(app, headers=KEY | {"x-sandbox-token": state.control_token})
    assert http.get("/api/v1/devices").status_code == 200
    assert http.get("/api/v1/devices").status_code == 429

    calls = app.state.api._calls["devices.list", ""]
    calls[0] -= 61

    assert http.get("/api/v1/devices").status_code == 200


def test_an_endpoint_tells_its_secret_once_and_survives(http: TestClient, state: State) -> None:
    made = data(http.post("/api/v1/webhooks/endpoints", json={"url": "https://x.test", "events": ["device.online"]}))

    assert len(made["secret"]) == 64
    assert "secret" not in data(http.get(f"/api/v1/webhooks/endpoints/{made['id']}"))
    assert state.file.stat().st_mode & 0o777 == 0o600
    again = State(state.folder, "k")
    again.load()
    assert again.endpoints == state.endpoints
    assert data(http.delete(f"/api/v1/webhooks/endpoints/{made['id']}"))["id"] == made["id"]
    assert json.loads(state.file.read_text()) == {}


def test_endpoints_are_ten_at_most_and_https(http: TestClient) -> None:
    make = {"url": "https://x.test", "events": ["a"]}
    for _ in range(10):
        data(http.post("/api/v1/webhooks/endpoints", json=make))

    assert refused(http.post("/api/v1/webhooks/endpoints", json=make)) == (409, "conflict")
    assert refused(http.post("/api/v1/webhooks/endpoints", json=make | {"url": "http://x.test"})) == (422, "invalid")


def test_after_a_rotation_the_demo_endpoint_is_the_one_in_its_place(state: State) -> None:
    first = state.add_demo_endpoint("http://127.0.0.1:1/hooks", ["a"])
    new = state.add_endpoint("http://127.0.0.1:1/hooks", ["a"], "zyra-receiver (in place of it)")
    del state.endpoints[next(iter(state.endpoints))]

    assert state.add_demo_endpoint("http://127.0.0.1:2/hooks", ["a"]) == new["secret"] != first
    assert len(state.endpoints) == 1


def test_what_is_sent_is_held_against_what_may_be_answered(http: TestClient) -> None:
    assert refused(http.post("/api/v1/devices", json={"name": "x", "capability_score": "abc"})) == (422, "invalid")
    assert refused(http.post("/api/v1/devices", json={"name": "x", "capability_score": 1001})) == (422, "invalid")
    assert data(http.post("/api/v1/virtual-servers", json={"name": "x", "total_cost": "x"}))["total_cost"] == "0.0000"


def test_the_demo_endpoint_keeps_its_secret_when_its_port_changes(state: State) -> None:
    first = state.add_demo_endpoint("http://127.0.0.1:1/a", ["a"])
    second = State(state.folder, "k")
    second.load()

    assert second.add_demo_endpoint("http://127.0.0.1:2/a", ["a"]) == first
    assert [row["url"] for row in second.endpoints.values()] == ["http://127.0.0.1:2/a"]


def test_jobs_go_their_way(http: TestClient, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.kit import wait_for
    from workers.sandbox import compute

    monkeypatch.setattr(compute.Compute, "boot_seconds", 0.02)
    with http:
        made = data(http.post("/api/v1/ml/jobs", json={"name": "a"}))
        bad = data(http.post("/api/v1/inference", json={"name": "b", "fail": True}))
        gone = data(http.post("/api/v1/fine-tuning/jobs", json={"name": "c"}))
        path = f"/api/v1/fine-tuning/jobs/{gone['id']}"
        assert data(http.post(path + "/cancel"))["status"] == "cancelled"
        assert refused(http.post(path + "/cancel")) == (409, "conflict")
        wait_for(lambda: data(http.get(f"/api/v1/ml/jobs/{made['id']}"))["status"] == "completed")
        wait_for(lambda: data(http.get(f"/api/v1/inference/{bad['id']}"))["status"] == "failed")
        assert data(http.get(path))["status"] == "cancelled"


def test_a_server_that_was_stopped_does_not_boot(http: TestClient) -> None:
    path = "/api/v1/virtual-servers/vs_0003"
    with http:
        data(http.post(path + "/start"))
        data(http.post(path + "/stop"))
        time.sleep(0.3)
        assert data(http.get(path))["status"] == "stopped"
        assert data(http.delete(path)) == data(http.delete(path))
        assert refused(http.post(path + "/start")) == (409, "conflict")


def test_a_user_has_ten_keys_and_a_revoked_one_is_none_at_once(http: TestClient, state: State) -> None:
    assert [state.add_key(f"zyra_sk_{n}") for n in range(10)] == [True] * 9 + [False]
    assert http.get("/api/v1/devices", headers={"authorization": "Bearer zyra_sk_3"}).status_code == 200
    state.revoke("zyra_sk_3")
    assert http.get("/api/v1/devices", headers={"authorization": "Bearer zyra_sk_3"}).status_code == 401
    assert "zyra_sk_3" not in str(state.keys)


def test_a_member_may_not_do_all(http: TestClient, state: State) -> None:
    state.users["m@example.com"] = User("pw", "org_member")
    state.add_key("zyra_sk_m", "m@example.com")
    member = {"authorization": "Bearer zyra_sk_m"}

    assert refused(http.get("/api/v1/invoices", headers=member)) == (403, "forbidden")
    assert refused(http.post("/api/v1/devices/dev_0003/approve", headers=member)) == (403, "forbidden")
    assert http.get("/api/v1/organizations", headers=member).status_code == 200
    assert http.post("/api/v1/virtual-servers/vs_0001/stop", headers=member).status_code == 200


def test_members_rules_recommendations(http: TestClient) -> None:
    members = "/api/v1/organizations/org_0001/members"
    assert refused(http.post(members, json={"email": "a@example.com", "role": "king"})) == (422, "invalid")
    made = data(http.post(members, json={"email": "a@example.com", "role": "org_member"}))
    assert data(http.delete(f"{members}/{made['id']}"))["email"] == "a@example.com"
    assert data(http.post("/api/v1/cost-advisor/recommendations/rec_0001/apply"))["status"] == "applied"
    assert refused(http.post("/api/v1/cost-advisor/recommendations/rec_0001/dismiss")) == (409, "conflict")
    assert data(http.get("/api/v1/cost-advisor/summary")) == {"total_savings": "12.40", "currency": "USD"}


def test_scim_has_documents_of_its_own(http: TestClient) -> None:
    scim = {"authorization": "Bearer scim-demo"}
    assert http.get("/scim/v2/Users").json()["status"] == "401"
    made = http.post("/scim/v2/Users", json={"userName": "a"}, headers=scim).json()
    again = http.post("/scim/v2/Users", json={"userName": "a"}, headers=scim)
    assert (again.status_code, again.json()["detail"]) == (409, "userName is taken")
    patch = {"Operations": [{"op": "Replace", "value": {"active": False}}, {"op": "remove", "path": "x"}]}
    assert http.patch(f"/scim/v2/Users/{made['id']}", json=patch, headers=scim).json()["active"] is False
    path = f"/scim/v2/Users/{made['id']}"
    wrong = http.patch(path, json={"Operations": [{"op": "add", "path": "userName", "value": 5}]}, headers=scim)
    assert (wrong.status_code, wrong.json()["status"]) == (422, "422")
    assert http.put(path, json={"userName": "b"}, headers=scim).json()["schemas"] == made["schemas"]
    found = http.get("/scim/v2/Users", params={"filter": 'userName eq "B"', "startIndex": 0}, headers=scim).json()
    assert (found["totalResults"], found["startIndex"]) == (1, 1)
    assert http.get("/scim/v2/Users", params={"filter": "title pr"}, headers=scim).status_code == 422
    assert http.delete(path, headers=scim).status_code == 204


def test_logins(http: TestClient, state: State) -> None:
    state.users["a@example.com"] = User("pw", "org_admin")
    login = "/api/v1/auth/login"
    assert refused(http.post(login, json={"email": "a@example.com", "password": "no"})) == (401, "unauthorized")
    found = data(http.post(login, json={"email": "a@example.com", "password": "pw"}))
    token = {"authorization": f"Bearer {found['access_token']}"}
    assert http.get("/api/v1/devices", headers=token).status_code == 200
    refresh = {"refresh_token": found["refresh_token"]}
    assert data(http.post("/api/v1/auth/refresh", json=refresh))["token_type"] == "bearer"
    assert refused(http.post("/api/v1/auth/refresh", json=refresh)) == (401, "unauthorized")
    assert refused(http.get("/api/v1/devices", headers={"authorization": f"Bearer {found['refresh_token']}"}))[0] == 401
    entries = data(http.get("/api/v1/audit-log", params={"event_type": "login_failure"}))
    assert [entry["success"] for entry in entries] == [False]


def test_deliveries_are_kept_and_repeated(http: TestClient, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.kit import wait_for
    from workers.sandbox import webhooks

    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (0,))
    monkeypatch.setattr(webhooks, "MAX_DELIVERIES", 1)
    row = state.add_endpoint("http://127.0.0.1:1/x", ["virtual_server.stopped"], "")
    path = f"/api/v1/webhooks/endpoints/{row['id']}/deliveries"
    with http:
        data(http.post("/api/v1/virtual-servers/vs_0001/stop"))
        data(http.post("/api/v1/virtual-servers/vs_0002/stop"))
        (one,) = wait_for(lambda: [d for d in data(http.get(path)) if d["status"] == "failed"])
        data(http.post(f"{path}/{one['id']}/redeliver"))
        wait_for(lambda: data(http.get(path))[0]["attempts"] == 2)
    assert refused(http.post(f"{path}/del_none/redeliver")) == (404, "not_found")


def test_the_state_can_be_looked_at(http: TestClient) -> None:
    http.get("/api/v1/devices")
    found = http.get("/sandbox/state").json()

    assert found["areas"]["devices"]["dev_0001"]["status"] == "online"
    assert found["calls"][-1]["path"] == "/api/v1/devices"


def test_an_endpoint_is_changed(http: TestClient, state: State) -> None:
    row = state.add_endpoint("https://x.test", ["a"], "")
    path = f"/api/v1/webhooks/endpoints/{row['id']}"

    assert data(http.patch(path, json={"events": ["b"], "secret": "mine"}))["events"] == ["b"]
    assert state.endpoints[row["id"]]["secret"] == row["secret"]
    assert refused(http.patch(path, json={"url": "http://x.test"})) == (422, "invalid")
