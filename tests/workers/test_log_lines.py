"""The way of one event, by one search for its id in the logs of receiver and worker."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx2

from receiver.contract.seal import Seal
from tests.support.kit import Tool, free_port, payload, running, signed, wait_for
from tests.support.receiver import post, up
from tests.support.sandbox import KEY, PLENTY, playing

SECRETS = (KEY, "test-secret", "one-secret-payload")


def test_one_search_shows_an_event_from_the_delivery_to_the_last_call(
    tool: Tool, env: dict[str, str], seal: Seal, tmp_path: Path
) -> None:
    (tmp_path / "pids").mkdir()
    port = free_port()
    with playing(tmp_path, PLENTY) as sandbox:
        settings = {
            **env,
            "PORT": str(port),
            "DRAIN_SECONDS": "0",
            "ZYRA_API_URL": sandbox.url,
            "ZYRA_API_KEY": KEY,
            "ZYRA_API_LIMITS": "create=1000,read=1000",
            "WORKER_HANDLERS": "tests.plugins.callers",
            "PIDS": str(tmp_path / "pids"),
        }
        with (
            running("workers.cli", "serve", env=settings) as receiver,
            running("workers.cli", "work", env=settings) as worker,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http,
        ):
            wait_for(lambda: up(http))
            body = payload(word="one-secret-payload")
            event = post(http, body, signed(body, "call.pair") | {"x-request-id": "req-7"}).json()["id"]
            wait_for(lambda: json.loads(tool("events", "show", event, "--json")[1])["state"] == "done")
            said = ""
            for process in (receiver, worker):
                process.send_signal(signal.SIGTERM)
                said += process.communicate(timeout=40)[1]

    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if event in line]
    assert [line["text"] for line in lines] == ["delivery", "API call", "API call", "attempt ended"]
    assert (lines[0]["request_id"], lines[0]["verdict"]) == ("req-7", "accepted")
    assert [(line["method"], line["path"]) for line in lines[1:3]] == [
        ("POST", "/api/v1/virtual-servers"), ("POST", "/api/v1/virtual-servers/{id}/stop"),
    ]  # fmt: skip
    assert all(line["request_id"] for line in lines[1:3])
    assert (lines[3]["handler"], lines[3]["outcome"], lines[3]["attempt"]) == ("pair", "done", 1)
    assert not [word for word in SECRETS if word in said]
