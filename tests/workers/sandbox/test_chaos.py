"""Trouble on purpose, and other shapes."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from tests.support.sandbox import KEY, PLENTY
from workers.sandbox import chaos as module
from workers.sandbox import webhooks
from workers.sandbox.api import create_app
from workers.sandbox.chaos import Chaos, parse_chaos
from workers.sandbox.shapes import parse_shape
from workers.sandbox.state import State
from workers.sandbox.webhooks import Webhooks

BEARER = {"authorization": f"Bearer {KEY}"}


def test_one_seed_is_one_trouble() -> None:
    first, second = (parse_chaos("dup,reorder,late,drop", 7) for _ in range(2))
    told = [first.draw_delays() for _ in range(500)]

    assert told == [second.draw_delays() for _ in range(500)]
    assert Counter(map(len, told)).keys() == {0, 1, 2}
    assert any(delays and delays[0] == module.LATE_SECONDS for delays in told)
    assert [parse_chaos("", 7).draw_delays() for _ in range(10)] == [[0.0]] * 10
    assert parse_chaos("", 7).answer() == ""


def test_what_is_no_trouble() -> None:
    with pytest.raises(ValueError, match="there is no plague"):
        parse_chaos("dup,plague", 1)


@pytest.mark.parametrize(
    ("kind", "status", "happened"),
    [
        ("fail-before", 500, False),
        ("fail-after", 500, True),
        ("html", 200, False),
        ("cut", 200, True),
        ("slow", 200, True),
    ],
)
def test_an_answer_fails_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, status: int, happened: bool
) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", 0.01)
    state = State(tmp_path, KEY)
    http = TestClient(
        create_app(state, PLENTY, chaos=Chaos(frozenset([kind]), 1, 1.0)),
        headers=BEARER | {"x-sandbox-token": state.control_token},
    )

    answer = http.post("/api/v1/virtual-servers/vs_0001/stop")

    assert answer.status_code == status
    assert (state.areas["virtual_servers"]["vs_0001"]["status"] == "stopped") is happened
    if kind == "cut":
        assert len(answer.content) < int(answer.headers["content-length"])
    if kind in ("cut", "html", "fail-after"):
        with pytest.raises(ValueError, match=r".*"):
            answer.json()
    assert http.get("/openapi.json").status_code == 200
    assert http.get("/sandbox/state").status_code == 200


def test_a_retry_may_have_other_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "RETRY_SECONDS", (0, 0))
    state = State(tmp_path, KEY)
    state.add_endpoint("http://127.0.0.1:1/x", ["job.failed"], "")
    got: list[bytes] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        got.append(request.content)
        return httpx2.Response(503)

    async def tell() -> int:
        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as http:
            hooks = Webhooks(state, http, chaos=Chaos(frozenset(["rewrite"]), 1, 1.0))
            told = hooks.tell("job.failed", {"id": "j"})
            await asyncio.gather(*hooks._tasks)
            return told

    assert asyncio.run(tell()) == 1
    assert got[0] != got[1]
    assert json.loads(got[0]) == json.loads(got[1])


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", lambda one: (one["id"], one["event"], one["data"]["id"])),
        ("payload=flat", lambda one: (one["event_id"], one["event_type"], one["resource_id"])),
        ("payload=resource", lambda one: (one["delivery_id"], one["type"], one["resource"]["id"])),
    ],
)
def test_payloads_of_several_shapes(tmp_path: Path, text: str, where: Any) -> None:
    state = State(tmp_path, KEY)
    state.add_endpoint("http://127.0.0.1:1/x", ["job.failed"], "")
    http = TestClient(
        create_app(state, PLENTY, shape=parse_shape(text)), headers=BEARER | {"x-sandbox-token": state.control_token}
    )
    with http:
        assert http.post("/sandbox/trigger", json={"type": "job.failed", "data": {"id": "j"}}).json() == {
            "endpoints": 1
        }
        assert http.post("/sandbox/trigger", json=[]).status_code == 422
    ((delivery,),) = [rows.values() for rows in state.deliveries.values()]

    event, kind, resource = where(json.loads(delivery["body"]))

    assert (event[:4], kind, resource) == ("evt_", "job.failed", "j")


def test_lists_and_errors_of_several_shapes(tmp_path: Path) -> None:
    state = State(tmp_path, KEY)

    def ask(text: str) -> Any:
        return (
            TestClient(
                create_app(state, PLENTY, shape=parse_shape(text)),
                headers=BEARER | {"x-sandbox-token": state.control_token},
            )
            .get("/api/v1/devices")
            .json()
        )

    assert ask("total=meta")["meta"]["total"] == ask("total=top")["total"] == ask("total=data")["data"]["total"] == 3
    stock = TestClient(
        create_app(state, PLENTY, shape=parse_shape("errors=stock")),
        headers=BEARER | {"x-sandbox-token": state.control_token},
    )
    assert "detail" in stock.post("/api/v1/devices", json={}).json()
    with pytest.raises(ValueError, match="payload=round is no shape"):
        parse_shape("payload=round")


def test_a_seed_says_what_is_there(tmp_path: Path) -> None:
    state = State(tmp_path, KEY)
    state.add('{"devices": {"dev_7": {"status": "pending"}}}')

    state.add('{"virtual_servers": {"vs_7": {"status": "stopped"}}, "users": {"a@x.test": {"password": "pw"}}}')

    assert state.areas["devices"]["dev_7"] == {"id": "dev_7", "status": "pending", "capability_score": 0}
    assert "vs_7" in state.stopped
    assert state.find_role("a@x.test") == "org_admin"
    for text, told in (
        ("[]", "a seed is JSON"), ('{"cats": {}}', "there is no area 'cats'"), ("{", "truncated"),
        ('{"devices": {"dev_1": 5}}', "Expected `object`"), ('{"devices": {"dev_1": {"status": 5}}}', "devices, dev_1"),
        ('{"users": {"a": {}}}', "missing required field `password`"), ("[" * 100_000, "nested"),
        ('{"devices": {"dev_1": {"x": NaN}}}', "malformed"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            state.add(text)
