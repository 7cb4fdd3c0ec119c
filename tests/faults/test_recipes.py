"""All shipped handlers under a troubled Zyra while workers are killed; and against a Zyra of another shape."""

import base64
import contextlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from tests.support.kit import ROOT, free_port, run, running, wait_for
from tests.support.other_server import Others, listening
from tests.support.receiver import up
from tests.support.sandbox import KEY, PLENTY, Sandbox, list_deliveries, playing
from workers.ledger import query
from workers.ledger.query import Filter
from workers.ledger.transitions import Ledger
from workers.sandbox.catalogue import TYPES
from workers.sandbox.chaos import parse_chaos
from workers.sandbox.shapes import parse_shape

pytestmark = [pytest.mark.faults, pytest.mark.timeout(290)]
SEED = int(os.environ.get("SEED", "7"))
RECIPES = ("archive_invoices", "open_incidents", "notify_chat", "clean_up_failed_jobs", "watch_devices",
           "restart_virtual_server", "forward_events")  # fmt: skip
FORWARD_KEY = b"k" * 32
LIMITS = {"create": 25, "read": 150, "bulk": 100}


@pytest.fixture
def world(own_ledger: Ledger, env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    (tmp_path / "archive").mkdir()
    for name in ("ZYRA_API_KEY", "ZYRA_WEBHOOK_SECRET"):
        monkeypatch.delenv(name)
    client: redis.Redis = own_ledger.client
    return {
        **{name: value for name, value in env.items() if name not in ("ZYRA_API_KEY", "ZYRA_WEBHOOK_SECRET")},
        "REDIS_URL": f"unix://{client.connection_pool.connection_kwargs['path']}",
        "WORKER_HANDLERS": ",".join(f"workers.handlers.{name}" for name in RECIPES),
        "ZYRA_API_KEY": KEY,
        "ZYRA_API_MINUTE": "1",
        "ZYRA_API_LIMITS": ",".join(f"{name}={most}" for name, most in LIMITS.items()),
        "ZYRA_WEBHOOK_SECRET_FILE": str(tmp_path / "secret"),
        "ARCHIVE_DIR": str(tmp_path / "archive"),
        "OFFLINE_GRACE": "1",
        "DRAFT_WAIT": "1",
        "FORWARD_SECRET": "whsec_" + base64.b64encode(FORWARD_KEY).decode(),
        "CHAT_TYPES": "payment.failed",
        "ALLOW_PRIVATE_URLS": "1",
        "LOG_LEVEL": "error",
        "PORT": str(free_port()),
    }


@contextlib.contextmanager
def receiving(world: dict[str, str], sandbox: Sandbox, others: Others, config: str = "") -> Iterator[None]:
    """A receiver that the sandbox tells everything."""
    url = f"http://127.0.0.1:{world['PORT']}/webhooks/zyra"
    row = sandbox.state.add_endpoint(url, list(TYPES), "test")
    Path(world["ZYRA_WEBHOOK_SECRET_FILE"]).write_text(row["secret"])
    world |= {"ZYRA_API_URL": sandbox.url, "CHAT_URL": others.url, "INCIDENT_URL": others.url}
    world["FORWARD_URL"] = others.url
    if config:
        path = Path(world["ARCHIVE_DIR"]).parent / "receiver.toml"
        path.write_text(config)
        world["RECEIVER_CONFIG"] = str(path)
    with running("workers.cli", "serve", env=world):
        with httpx2.Client(base_url=f"http://127.0.0.1:{world['PORT']}") as http:
            wait_for(lambda: up(http))
        yield


def worker(world: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "workers.cli", "work", "--concurrency", "16"]
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)} | world, cwd=ROOT)


def fill(sandbox: Sandbox, number: int) -> None:
    """So many servers in error, failed jobs with a server each, offline devices, issued invoices, open breaches."""
    areas = sandbox.state.areas
    money = {"subtotal": "40.00", "tax_amount": "8.00", "total": "48.00", "currency": "USD", "status": "issued"}
    for n in range(number):
        areas["ml_jobs"][f"j_{n}"] = {"id": f"j_{n}", "name": f"j{n}", "status": "failed"}
        areas["virtual_servers"][f"err_{n}"] = {"id": f"err_{n}", "name": f"e{n}", "status": "error"}
        areas["virtual_servers"][f"job_{n}"] = {
            "id": f"job_{n}",
            "name": f"j{n}",
            "status": "running",
            "job_id": f"j_{n}",
        }
        areas["devices"][f"off_{n}"] = {"id": f"off_{n}", "status": "offline"}
        areas["invoices"][f"i_{n}"] = {"id": f"i_{n}", "invoice_number": f"INV-2026-{n:04d}", **money}
        areas["breaches"][f"b_{n}"] = {"id": f"b_{n}", "status": "resolved" if n % 2 else "open"}


def trigger(sandbox: Sandbox, number: int) -> None:
    rows = sandbox.state.areas
    shown = {"x-sandbox-token": sandbox.state.control_token}
    with httpx2.Client(base_url=sandbox.url, headers=shown) as http:

        def tell(kind: str, data: Any) -> None:
            http.post("/sandbox/trigger", content=json.dumps({"type": kind, "data": data}, default=str))

        for n in range(number):
            tell("virtual_server.error", rows["virtual_servers"][f"err_{n}"])
            tell("job.failed", {"id": f"j_{n}"})
            tell("device.offline", rows["devices"][f"off_{n}"])
            tell("invoice.generated", rows["invoices"][f"i_{n}"])
            tell("sla.breach.started", {"id": f"b_{n}"})
            if n % 2:
                tell("sla.breach.resolved", {"id": f"b_{n}"})


def told(sandbox: Sandbox, kind: str) -> list[str]:
    """The resources of which an event of this type was delivered at all."""
    found = [
        json.loads(row["body"])
        for row in list_deliveries(sandbox.state)
        if row["event_type"] == kind and row["status"] == "delivered"
    ]
    return [str((one.get("data") or one.get("resource") or one).get("id")) for one in found]


def all_delivered(sandbox: Sandbox) -> bool:
    return all(row["status"] == "delivered" for row in list_deliveries(sandbox.state))


def open_runs(ledger: Ledger) -> int:
    return sum(int(ledger.client.zcard(ledger.keys.name(name))) for name in ("pending", "dispatching", "open"))


def right(sandbox: Sandbox, others: Others, archive: Path) -> None:
    """What was told has been done."""
    servers = sandbox.state.areas["virtual_servers"]
    assert {servers[name]["status"] for name in told(sandbox, "virtual_server.error") if name.startswith("err_")} == {
        "running"
    }
    assert {servers[f"job_{name[2:]}"]["status"] for name in told(sandbox, "job.failed")} == {"terminated"}
    for name in told(sandbox, "invoice.generated"):
        assert (archive / f"INV-2026-{int(name[2:]):04d}.pdf").exists()
    mine = [json.loads(body) for headers, body in others.got if "webhook-id" not in headers]
    texts = Counter(one["text"] for one in mine if "text" in one)
    assert all(any(f"device {name} " in text for text in texts) for name in told(sandbox, "device.offline"))
    last = {one["dedup_key"]: one["event_action"] for one in mine if "dedup_key" in one}
    for name in told(sandbox, "sla.breach.started"):
        if name.startswith("b_") and not int(name[2:]) % 2:
            assert last[f"zyra-breach-{name}"] == "trigger"
    for name in told(sandbox, "sla.breach.resolved"):
        assert last[f"zyra-breach-{name}"] == "resolve"


def forwarded(ledger: Ledger, others: Others) -> None:
    """Every event has been forwarded, signed."""
    got = {headers["webhook-id"]: (headers, body) for headers, body in others.got if "webhook-id" in headers}
    done = query.search(ledger, Filter(state="done", limit=10_000))
    told = [one for one in done if one["origin"] != "reconciled"]
    assert {one["id"] for one in told} <= got.keys()
    for headers, body in got.values():
        text = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        signature = base64.b64encode(hmac.digest(FORWARD_KEY, text, "sha256")).decode()
        assert headers["webhook-signature"] == f"v1,{signature}"


def ended(sandbox: Sandbox) -> None:
    """No breach of a server that runs stays open: in a moment, since agreements are looked at now and then."""
    servers = sandbox.state.areas["virtual_servers"]

    def none_is_left() -> bool:
        rows = sandbox.state.areas["breaches"].values()
        still = [row["virtual_server_id"] for row in rows if row["status"] == "open" and "virtual_server_id" in row]
        return all(servers[name]["status"] == "error" for name in still)

    wait_for(none_is_left, 20)


def test_all_recipes_under_chaos_while_workers_are_killed(
    world: dict[str, str], own_ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, kills = 91, 0
    monkeypatch.setattr("workers.sandbox.webhooks.MAX_DELIVERIES", 5000)
    trouble = parse_chaos("dup,reorder,late,drop", SEED)
    with playing(tmp_path, LIMITS, minute=1.0, chaos=trouble) as sandbox, listening() as others:
        fill(sandbox, number)
        with receiving(world, sandbox, others):
            workers = [worker(world) for _ in range(2)]
            try:
                trigger(sandbox, number)
                began = time.monotonic()
                while time.monotonic() - began < 200 and (open_runs(own_ledger) or time.monotonic() - began < 12):
                    time.sleep(5)
                    if time.monotonic() - began < 30:  # then they may end what is left
                        old = workers.pop(0)
                        old.kill()
                        old.wait()
                        kills += 1
                        workers.append(worker(world))
                made = run("workers.cli", "events", "reconcile", "--backfill", "--unheard", "--json", env=world)
                wait_for(lambda: not open_runs(own_ledger), 60)
            finally:
                for one in workers:
                    one.send_signal(signal.SIGTERM)
                for one in workers:
                    one.wait(60)
        assert made.returncode == 0, made.stderr
        states = Counter(one["state"] for one in query.search(own_ledger, Filter(limit=10_000)))
        dead = [run for one in query.search(own_ledger, Filter(state="dead", limit=100)) for run in one["runs"]]
        statuses = Counter(one["status"] for one in sandbox.log())
        print("kills", kills, "after", round(time.monotonic() - began), "s:", states, "calls", statuses)
        assert not [run["error"] for run in dead]
        assert kills >= 3
        right(sandbox, others, tmp_path / "archive")
        forwarded(own_ledger, others)
        ended(sandbox)
        servers = sandbox.state.areas["virtual_servers"]  # also of what was dropped, by reconciliation
        assert {servers[f"job_{n}"]["status"] for n in range(number)} == {"terminated"}
        assert len(list((tmp_path / "archive").glob("INV-*.pdf"))) >= number
        changed = Counter(
            one["path"] for one in sandbox.calls("POST") if str(one["path"]).endswith(("/stop", "/start"))
        )
        assert max(changed.values()) == 1  # no server was stopped or started twice
        assert statuses[429] <= 1


def test_a_zyra_of_another_shape_is_a_matter_of_configuration(
    world: dict[str, str], own_ledger: Ledger, tmp_path: Path
) -> None:
    config = (
        '[sources.zyra]\nscheme = "zyra"\nsecrets = ["file:' + world["ZYRA_WEBHOOK_SECRET_FILE"] + '"]\n'
        'id_fields = ["delivery_id"]\nresource_id = ["resource.id"]\n'
    )
    how = parse_shape("payload=resource,total=data,errors=stock,invoice=draft,stop=slow")
    world |= {"ZYRA_API_LIMITS": "create=100000,read=100000"}
    with playing(tmp_path, PLENTY, minute=1.0, shape=how) as sandbox, listening() as others:
        fill(sandbox, 6)
        with receiving(world, sandbox, others, config):
            one = worker(world)
            try:
                trigger(sandbox, 6)
                wait_for(lambda: all_delivered(sandbox) and not open_runs(own_ledger), 60)
            finally:
                one.send_signal(signal.SIGTERM)
                one.wait(60)
        assert not list(query.search(own_ledger, Filter(state="dead")))
        right(sandbox, others, tmp_path / "archive")
        forwarded(own_ledger, others)
