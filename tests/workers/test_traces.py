"""A trace of one event over receiver, worker and API, in a collector."""

import json
import signal
import time
from pathlib import Path

import httpx2
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.collector import collecting
from tests.support.kit import Tool, find_readable, free_port, payload, running, signed, wait_for
from tests.support.receiver import post, up
from tests.support.sandbox import KEY, PLENTY, playing

SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
CANARIES = (KEY, "test-secret", "canary-payload", "canary-header", "canary-error")


def test_all_spans_of_an_event_reach_the_collector_and_no_secret_does(
    tool: Tool, env: dict[str, str], seal: Seal, tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    (tmp_path / "pids").mkdir()
    port, metrics = free_port(), free_port()
    with playing(tmp_path, PLENTY) as sandbox, collecting() as collector:
        settings = {
            **env,
            "PORT": str(port),
            "METRICS_PORT": str(metrics),
            "ZYRA_API_URL": sandbox.url,
            "ZYRA_API_KEY": KEY,
            "ZYRA_API_LIMITS": "create=1000,read=1000",
            "WORKER_HANDLERS": "tests.plugins.callers,tests.plugins.canary",
            "PIDS": str(tmp_path / "pids"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        }
        with (
            running("workers.cli", "serve", env=settings) as receiver,
            running("workers.cli", "work", env={**settings, "METRICS_PORT": "0"}) as worker,
            httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http,
        ):
            wait_for(lambda: up(http))
            body = payload(word="canary-payload")
            more = {"traceparent": SENT, "user-agent": "canary-header"}
            event = post(http, body, signed(body, "call.pair") | more).json()["id"]
            body = payload(word="canary-payload")
            other = more | {"traceparent": SENT.replace("0af", "1af")}
            failing = post(http, body, signed(body, "canary") | other).json()["id"]
            wait_for(lambda: json.loads(tool("events", "show", event, "--json")[1])["state"] == "done")
            wait_for(lambda: json.loads(tool("events", "show", failing, "--json")[1])["state"] == "dead", 60)
            shown = httpx2.get(f"http://127.0.0.1:{metrics}/metrics").text
            readable = find_readable(client, keys, list(CANARIES))
            said = ""
            for process in (receiver, worker):
                process.send_signal(signal.SIGTERM)
                said += process.communicate(timeout=40)[1]

    spans = collector.of_event(event)
    by_name = {span["name"]: span for span in spans}
    assert list(by_name) == [
        "POST /webhooks/{source}", "accept", "dispatch", "attempt pair", "POST /api/v1/virtual-servers",
        "POST /api/v1/virtual-servers/{id}/stop",
    ]  # fmt: skip
    request, accept, dispatch, attempt, create, stop = by_name.values()
    assert {span["trace"] for span in spans} == {"0af7651916cd43dd8448eb211c80319c"}
    assert [request["parent"], accept["parent"]] == ["b7ad6b7169203331", request["id"]]
    assert dispatch["parent"] == attempt["parent"] == request["id"]
    assert create["parent"] == stop["parent"] == attempt["id"]
    assert {span["service"] for span in (request, accept)} == {"zyra-receiver"}
    assert {span["service"] for span in (dispatch, attempt, create, stop)} == {"zyra-worker"}
    assert request["attributes"]["http.response.status_code"] == 202
    assert attempt["attributes"]["zr.handler"] == "pair"
    first, second = [
        span for span in collector.spans if span["attributes"].get("zr.event") == failing and "attempt" in span["name"]
    ]
    assert (first["is_error"], first["attributes"]["error.type"]) == (True, "ValueError")
    assert first["trace"] == "1af7651916cd43dd8448eb211c80319c"
    assert second["trace"] != first["trace"], "a retry has a trace of its own"
    assert second["links"] == [first["trace"]]
    assert time.time() * 1e9 > attempt["ended"] > attempt["began"] > 1.7e18
    for canary in CANARIES:
        assert canary not in said, f"{canary} in the log"
        assert canary.encode() not in collector.raw, f"{canary} in a trace"
        assert canary not in shown, f"{canary} in the metrics"
    assert readable == [], "in Redis"


def test_a_collector_that_is_down_holds_nothing_up(env: dict[str, str], tool: Tool, seal: Seal) -> None:
    port = free_port()
    settings = {**env, "PORT": str(port), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    with (
        running("workers.cli", "serve", env=settings) as receiver,
        running("workers.cli", "work", env=settings) as worker,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http,
    ):
        wait_for(lambda: up(http))
        body = payload()
        event = post(http, body, signed(body, "basic.one")).json()["id"]
        wait_for(lambda: json.loads(tool("events", "show", event, "--json")[1])["state"] == "done")
        started = time.monotonic()
        for process in (receiver, worker):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=40)

    assert time.monotonic() - started < 20
