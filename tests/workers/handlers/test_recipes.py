"""The shipped handlers that call others, against the sandbox and a server of other people."""

import asyncio
import base64
import contextlib
import hmac
import importlib
import json
import socketserver
import string
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from receiver.contract.addresses import Target
from receiver.contract.payload_paths import find_resource_id
from tests.support.other_server import Others, listening
from tests.support.sandbox import PLENTY, Sandbox, playing
from workers import Event, GiveUp, RetryLater, Zyra, plugins
from workers.outgoing import PostFailed, post, send
from workers.zyra.errors import Unreadable

SECRET = base64.b64encode(b"k" * 24).decode()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    with listening() as found:
        for name in ("CHAT_URL", "INCIDENT_URL", "FORWARD_URL"):
            monkeypatch.setenv(name, found.url)
        monkeypatch.setenv("FORWARD_SECRET", f"whsec_{SECRET}")
        monkeypatch.setenv("ALLOW_PRIVATE_URLS", "1")
        yield found


@pytest.fixture
def zyra(tmp_path: Path) -> Iterator[tuple[Sandbox, Zyra]]:
    with playing(tmp_path, PLENTY) as sandbox:
        with contextlib.closing(sandbox.client()) as client:
            yield sandbox, client


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A recipe as it is loaded with this test's environment."""

    def load(name: str) -> ModuleType:
        monkeypatch.delitem(sys.modules, f"workers.handlers.{name}", raising=False)
        return importlib.import_module(f"workers.handlers.{name}")

    return load


def event(kind: str, resource: str = "", age: float = 0.0, **more: Any) -> Event:
    payload = {"data": {"id": resource}}
    return Event(
        id="evt_1", source="zyra", type=kind, payload=payload, resource_id=find_resource_id(payload, kind, ("data.id",)),
        body=json.dumps(payload).encode(), headers={"content-type": "application/json"},
        received_at=datetime.now(UTC) - timedelta(seconds=age), key="k1", **more,
    )  # fmt: skip


Recipe = Callable[[str], ModuleType]


def test_invoices_are_archived_once_they_are_issued(
    zyra: tuple[Sandbox, Zyra], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive").mkdir()
    monkeypatch.setenv("ARCHIVE_DIR", str(tmp_path / "archive"))
    (sandbox, client), archive = zyra, recipe("archive_invoices").archive
    rows = sandbox.state.areas["invoices"]
    rows["inv_0001"]["status"] = "draft"

    with pytest.raises(RetryLater):
        archive(event("invoice.generated", "inv_0001"), client)
    rows["inv_0001"]["status"] = "issued"
    for _ in range(2):
        archive(event("invoice.generated", "inv_0001"), client)

    found = sorted(path.name for path in (tmp_path / "archive").iterdir())
    assert found == ["INV-2026-0001.json", "INV-2026-0001.pdf"]
    assert json.loads((tmp_path / "archive" / "INV-2026-0001.json").read_text())["total"] == "48.00"
    rows["inv_0001"]["total"] = "48.01"
    with pytest.raises(GiveUp, match="is not 40"):
        archive(event("invoice.paid", "inv_0001"), client)
    rows["inv_0002"]["invoice_number"] = "../INV"
    with pytest.raises(GiveUp, match="no name for a file"):
        archive(event("invoice.paid", "inv_0002"), client)


def test_an_invoice_in_a_state_that_is_not_known_is_a_dead_letter(
    zyra: tuple[Sandbox, Zyra], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHIVE_DIR", str(tmp_path))
    (sandbox, client), archive = zyra, recipe("archive_invoices").archive
    sandbox.state.areas["invoices"]["inv_0001"]["status"] = "embargoed"

    with pytest.raises(GiveUp, match="is in state 'embargoed', which is not known"):
        archive(event("invoice.paid", "inv_0001"), client)
    with pytest.raises(GiveUp, match="names no invoice"):
        archive(event("invoice.paid", ""), client)


def test_what_is_no_pdf_is_not_archived_as_one(
    zyra: tuple[Sandbox, Zyra], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "archive").mkdir()
    monkeypatch.setenv("ARCHIVE_DIR", str(tmp_path / "archive"))
    (sandbox, client), archive = zyra, recipe("archive_invoices").archive
    sandbox.state.areas["invoices"]["42"] = {
        **sandbox.state.areas["invoices"]["inv_0001"],
        "id": 42,
        "invoice_number": 7,
    }
    archive(event("invoice.paid", "42"), client)
    monkeypatch.setattr("workers.sandbox.accounts.PDF", b"<html>log in</html>")

    with pytest.raises(Unreadable, match="no %PDF-"):
        archive(event("invoice.paid", "inv_0001"), client)

    assert sorted(path.name for path in (tmp_path / "archive").iterdir()) == ["7.json", "7.pdf"]


def test_an_incident_is_opened_and_resolved_whatever_comes_first(
    zyra: tuple[Sandbox, Zyra], recipe: Recipe, others: Others
) -> None:
    (sandbox, client), incidents = zyra, recipe("open_incidents")
    breach = sandbox.state.areas["breaches"]["br_0001"]
    breach["status"] = "open"

    incidents.open_incident(event("sla.breach.started", "br_0001"), client)
    with pytest.raises(RetryLater, match="not list br_0001 as resolved yet"):  # or somebody has forged it
        incidents.resolve_incident(event("sla.breach.resolved", "br_0001"), client)
    with pytest.raises(GiveUp, match="may be forged"):
        incidents.resolve_incident(event("sla.breach.resolved", "br_0001", age=4000), client)
    breach["status"] = "resolved"
    incidents.resolve_incident(event("sla.breach.resolved", "br_0001"), client)
    incidents.open_incident(event("sla.breach.started", "br_0001"), client)  # it comes late
    incidents.open_incident(event("sla.breach.started", "br_new"), client)  # the API does not know it yet

    assert [(one["event_action"], one["dedup_key"]) for one in others.told] == [
        ("trigger", "zyra-breach-br_0001"), ("resolve", "zyra-breach-br_0001"), ("trigger", "zyra-breach-br_new"),
    ]  # fmt: skip


def test_breaches_are_told_apart(zyra: tuple[Sandbox, Zyra], recipe: Recipe, others: Others) -> None:
    (sandbox, client), incidents = zyra, recipe("open_incidents")
    sandbox.state.areas["breaches"] |= {"5": {"id": 5, "status": "resolved"}, "c": {"id": "c", "status": "Closed"},
                                        "r": {"id": "r", "status": "over", "resolved_at": "2026-11-01"}}  # fmt: skip
    for name in ("5", "c", "r"):
        incidents.open_incident(event("sla.breach.started", name), client)

    assert others.told == []
    nameless = event("sla.breach.resolved")
    assert nameless.resource_id == ""
    with pytest.raises(GiveUp, match="names no breach"):
        incidents.resolve_incident(nameless, client)
    assert find_resource_id({"data": {"breach_id": "br_1"}}, "sla.breach.started") == "br_1"


def test_a_long_history_is_looked_through_in_part(zyra: tuple[Sandbox, Zyra], recipe: Recipe, others: Others) -> None:
    (sandbox, client), incidents = zyra, recipe("open_incidents")
    for n in range(1500):
        sandbox.state.areas["breaches"][f"b_{n}"] = {"id": f"b_{n}", "status": "resolved"}

    incidents.open_incident(event("sla.breach.started", "b_1400"), client)

    assert len(others.told) == 1
    assert len(sandbox.calls("GET")) == 10  # before it is opened, and after
    ended = [False, True]
    vars(incidents)["is_over"] = lambda name, zyra: ended.pop(0)
    incidents.open_incident(event("sla.breach.started", "b_1"), client)
    assert [one["event_action"] for one in others.told] == ["trigger", "trigger", "resolve"]


def test_a_channel_is_told(recipe: Recipe, others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_TYPES", "job.failed, device.*,")
    module = recipe("notify_chat")

    module.notify(event("job.failed", "job_1"))

    assert others.told == [{"text": "Zyra: job.failed job_1"}]
    assert [handler.types for handler in module.router] == [("job.failed",), ("device.*",)]


def test_what_a_channel_is_told_is_no_markup_and_mentions_nobody(recipe: Recipe, others: Others) -> None:
    module = recipe("notify_chat")

    module.notify(event("a b<!channel>\n*x*", "@here <http://x|y> é`"))

    (told,) = others.told
    assert not set(told["text"].partition(": ")[2]) - set(string.ascii_letters + string.digits + "._:/-% ")
    assert "\n" not in told["text"]


def test_servers_of_a_failed_job_are_terminated(zyra: tuple[Sandbox, Zyra], recipe: Recipe) -> None:
    (sandbox, client), module = zyra, recipe("clean_up_failed_jobs")
    servers = sandbox.state.areas["virtual_servers"]
    servers["vs_0001"]["job_id"] = servers["vs_0002"]["job_id"] = "job_7"
    jobs = sandbox.state.areas["fine_tuning_jobs"]
    jobs |= {"None": {"id": "None", "status": "failed"}, "job_7": {"id": "job_7", "status": "running"}}
    with pytest.raises(GiveUp, match="no id"):
        module.clean_up(event("job.failed", "None"), client)  # as some writer of JSON may call none
    for name in ("job_7", "job_8"):  # what the API does not confirm ends no server
        with pytest.raises(GiveUp, match="its servers stay"):
            module.clean_up(event("job.failed", name), client)
    jobs["job_7"]["status"] = "Failed"

    for _ in range(2):
        module.clean_up(event("job.failed", "job_7"), client)

    assert [row["status"] for row in servers.values()] == ["terminated", "terminated", "stopped"]
    assert len(sandbox.calls("DELETE")) == 2
    with pytest.raises(GiveUp):
        module.clean_up(event("job.failed"), client)


def test_a_server_that_is_gone_by_now_spares_none_of_the_others(zyra: tuple[Sandbox, Zyra], recipe: Recipe) -> None:
    (sandbox, client), module = zyra, recipe("clean_up_failed_jobs")
    servers = sandbox.state.areas["virtual_servers"]
    servers.clear()
    for n in range(3):
        servers[f"w_{n}"] = {"id": f"w_{n}", "status": "running", "job_id": 7}
    listed = list(client.virtual_servers.list())
    del servers["w_0"]
    sandbox.state.areas["fine_tuning_jobs"]["7"] = {"id": 7, "status": "failed"}
    families = {name: getattr(client, name) for name in ("ml_jobs", "inference", "fine_tuning_jobs")}

    class Stale:
        """The list as it was a moment ago."""

        def list(self) -> Any:
            return listed

        terminate = client.virtual_servers.terminate

    module.clean_up(event("job.failed", "7"), SimpleNamespace(virtual_servers=Stale(), **families))

    assert [row["status"] for row in servers.values()] == ["terminated", "terminated"]
    listed[:] = [type(listed[0])({"status": "running", "job_id": "7"})]
    with pytest.raises(GiveUp, match="no id"):
        module.clean_up(event("job.failed", "7"), SimpleNamespace(virtual_servers=Stale(), **families))
    sandbox.state.revoke("zyra_sk_sandbox_0001")
    listed[:] = [type(listed[0])({"id": "w_1", "status": "running", "job_id": "7"})]
    with pytest.raises(RetryLater):
        module.clean_up(event("job.failed", "7"), SimpleNamespace(virtual_servers=Stale(), **families))


@pytest.mark.parametrize("status", ["Offline", "UNREACHABLE"])
def test_whatever_a_device_is_that_is_not_well(
    zyra: tuple[Sandbox, Zyra], recipe: Recipe, others: Others, status: str | None
) -> None:
    (sandbox, client), module = zyra, recipe("watch_devices")
    sandbox.state.areas["devices"]["dev_0002"]["status"] = status

    module.offline(event("device.offline", "dev_0002", age=301), client)
    sandbox.state.areas["devices"]["dev_0002"]["status"] = "removed"
    module.offline(event("device.offline", "dev_0002", age=301), client)
    del sandbox.state.areas["devices"]["dev_0002"]
    module.offline(event("device.offline", "dev_0002", age=301), client)

    assert len(others.told) == 1
    sandbox.state.areas["devices"]["dev_0001"]["status"] = "haunted"
    with pytest.raises(GiveUp, match="is in state 'haunted', which is not known"):
        module.offline(event("device.offline", "dev_0001", age=301), client)
    with pytest.raises(GiveUp, match="names no device"):
        module.offline(event("device.offline", age=301), client)
    sandbox.state.revoke("zyra_sk_sandbox_0001")
    with pytest.raises(RetryLater):
        module.offline(event("device.offline", "dev_0001", age=301), client)


def test_a_device_may_come_back(zyra: tuple[Sandbox, Zyra], recipe: Recipe, others: Others) -> None:
    (sandbox, client), module = zyra, recipe("watch_devices")

    with pytest.raises(RetryLater) as caught:
        module.offline(event("device.offline", "dev_0002", age=100), client)
    module.offline(event("device.offline", "dev_0002", age=301), client)
    module.offline(event("device.offline", "dev_0001", age=301), client)  # it is online

    assert 190 < caught.value.seconds <= 200
    assert others.told == [{"text": "Zyra: device dev_0002 has been offline for 300 s"}]
    assert sandbox.calls("GET")


def test_events_are_forwarded_as_they_came_and_signed(recipe: Recipe, others: Others) -> None:
    recipe("forward_events").forward(event("a.b"))

    ((headers, body),) = others.got
    text = f"evt_1.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.digest(b"k" * 24, text, "sha256")).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert headers["webhook-id"] == "evt_1"
    assert body == event("a.b").body


@pytest.mark.parametrize("kind", ["größe.x", "a\nb", " a"])
def test_a_type_may_be_any_text(recipe: Recipe, others: Others, kind: str) -> None:
    recipe("forward_events").forward(event(kind))

    assert unquote(others.got[0][0]["x-event-type"]) == kind


@pytest.mark.parametrize("secret", ["whsec_", "whsec_!!!!", "whsec_YQ==", "nonsense", "whsec_" + "Y" * 400])
def test_a_key_that_anybody_guesses_signs_nothing(
    recipe: Recipe, others: Others, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    monkeypatch.setenv("FORWARD_SECRET", secret)

    with pytest.raises(ValueError, match="FORWARD_SECRET must be"):
        recipe("forward_events")


def test_a_grace_is_a_number(recipe: Recipe, others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFLINE_GRACE", "5 min")

    with pytest.raises(ValueError, match="OFFLINE_GRACE must be"):
        recipe("watch_devices")


@pytest.mark.parametrize(
    "name", ["archive_invoices", "open_incidents", "notify_chat", "watch_devices", "forward_events"]
)
def test_what_is_missing_is_said_at_the_start(name: str, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("ARCHIVE_DIR", "INCIDENT_URL", "PAGERDUTY_ROUTING_KEY", "CHAT_URL", "FORWARD_URL"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ValueError, match="is not set"):
        recipe(name)


def test_all_of_them_load_together(
    others: Others, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    monkeypatch.setenv("ARCHIVE_DIR", str(tmp_path))
    names = ("archive_invoices", "open_incidents", "notify_chat", "watch_devices", "forward_events",
             "clean_up_failed_jobs", "restart_virtual_server", "log_event")  # fmt: skip
    for name in names:
        recipe(name)

    assert len(list(plugins.load_handlers([f"workers.handlers.{name}" for name in names]))) >= 13


# --- the guard


@pytest.mark.parametrize(
    ("status", "kind"),
    [(204, None), (500, PostFailed), (302, PostFailed), (404, GiveUp), (429, RetryLater), (408, PostFailed)],
)
def test_what_an_answer_means(others: Others, status: int, kind: type[Exception] | None) -> None:
    import os

    others.status, others.headers = status, {"retry-after": "7", "location": "http://127.0.0.1:1/"}
    if kind is None:
        post(os.environ["CHAT_URL"], json={})
    else:
        with pytest.raises(kind):
            post(os.environ["CHAT_URL"], json={})
    assert len(others.got) == 1
    assert others.got[0][0]["host"] in os.environ["CHAT_URL"]


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/latest", "https://[::1]/",
     "https://10.0.0.1/", "ftp://example.com/", "https://example.com:99999/", "https://[bad", "https:///x",
     "https://example.com:0/", "https://u:p@example.com/", f"https://{'x' * 64}.com/", "https://.example.com/"],
)  # fmt: skip
def test_the_machines_beside_us_are_not_posted_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLOW_PRIVATE_URLS", raising=False)

    with pytest.raises(GiveUp):
        post(url, json={})


def test_who_cannot_be_reached_is_an_ordinary_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "1")
    with pytest.raises(PostFailed):
        post("http://127.0.0.1:1/", content=b"x")
    with pytest.raises(PostFailed):
        post("http://[::1]:1/", content=b"x")
    with pytest.raises(PostFailed):
        post("https://no-such-host.invalid/", content=b"x")


def test_the_next_address_of_a_host_is_tried(others: Others) -> None:
    port = int(others.url.split(":")[2].split("/")[0])
    two = Target(host="two.test", port=port, scheme="http", path="/x")

    assert asyncio.run(send(two, ("::1", "127.0.0.1"), b"{}", {"host": two.netloc}))[0] == 200
    assert others.got[0][0]["host"] == f"two.test:{port}"


def test_who_drips_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "1")
    monkeypatch.setattr("workers.outgoing.TOTAL_SECONDS", 1.0)

    began = time.monotonic()
    with dripping(b"", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100) as url:
        with pytest.raises(PostFailed, match="no answer within"):
            post(url, json={})

    assert time.monotonic() - began < 5


@contextlib.contextmanager
def dripping(at_once: bytes, slowly: bytes) -> Iterator[str]:
    """The URL of a server that says the one at once, the other byte by byte, and no more."""

    class Dripping(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.sendall(at_once)
                for byte in slowly:
                    self.request.sendall(bytes([byte]))
                    time.sleep(0.2)
                while self.request.recv(65536):
                    pass

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_header_that_is_none_is_not_sent(others: Others) -> None:
    for value in ("a\nb", "é"):
        with pytest.raises(GiveUp, match="'x' is not printable ASCII"):
            post(others.url, content=b"x", headers={"x": value})

    assert others.got == []


def test_what_was_taken_is_not_posted_again_for_a_body_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "1")
    monkeypatch.setattr("workers.outgoing.BODY_SECONDS", 0.3)

    with dripping(b"HTTP/1.1 202 Accepted\r\ncontent-length: 100\r\n\r\n", b"") as url:
        assert post(url, json={}) == b""


def test_a_wait_is_believed_for_an_hour(others: Others) -> None:
    others.status, others.headers = 429, {"retry-after": "999999"}

    with pytest.raises(RetryLater) as caught:
        post(others.url, json={})

    assert caught.value.seconds == 3600


def test_an_async_handler_may_post_too(others: Others) -> None:
    async def handler() -> bytes:
        return post(others.url, json={})

    assert asyncio.run(handler()) == b"ok"
