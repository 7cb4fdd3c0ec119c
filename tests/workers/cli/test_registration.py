"""Registration at a Zyra whose answers look different, get lost, or cannot be kept."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.support.kit import Tool
from tests.support.other_server import Quiet, served
from workers.zyra.caller import Caller

URL = "https://hooks.example.com/webhooks/zyra"


@dataclass
class Registry:
    """Zyra's endpoints. told: what an answer to a creation holds, of id and secret; None: it gets lost."""

    told: Any = None
    status: int = 201
    lists: bool = True
    endpoints: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


@pytest.fixture
def registry(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    state = Registry()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, document: Any) -> None:
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            rows = list(state.endpoints.values())
            self.answer(200 if state.lists else 503, {"data": rows, "total": len(rows)})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            name = f"we_{len(state.endpoints) + 1}"
            state.endpoints[name] = {"id": name, "url": body["url"], "events": body["events"]}
            if state.told is None:
                self.close_connection = True
                return
            self.answer(state.status, state.told(name) if callable(state.told) else state.told)

        def do_DELETE(self) -> None:
            name = self.path.rpartition("/")[2]
            state.deleted.append(name)
            self.answer(200 if state.endpoints.pop(name, None) else 404, {})

        def log_message(self, *_: object) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    monkeypatch.setenv("ZYRA_API_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("ZYRA_API_LIMITS", "create=1000,read=1000")
    monkeypatch.delenv("REDIS_URL")
    with served(server):
        yield state


def register(tool: Tool, path: Path) -> tuple[int, str, str]:
    return tool("endpoints", "register", "--url", URL, "--secret-file", str(path))


@pytest.mark.parametrize(
    "told",
    [
        lambda name: {"data": {"id": name, "secret": "s"}},
        lambda name: {"data": {"endpoint_id": name, "signing_secret": "s"}},
        lambda name: {"endpoint": {"id": name, "webhook_secret": "s"}},
        lambda name: {"data": {"webhook": {"webhook_id": name}, "secrets": {"secret_key": "s"}}},
        lambda name: {"success": True, "data": {"secret": "s"}},  # its id is that of the list
    ],
)
def test_id_and_secret_are_found_under_other_names(tool: Tool, registry: Registry, tmp_path: Path, told: Any) -> None:
    registry.told = told

    code, out, err = register(tool, tmp_path / "secret")

    assert (code, err) == (0, "")
    assert "registered we_1" in out
    assert (tmp_path / "secret").read_text() == "s"


def test_a_secret_that_cannot_be_read_is_not_thrown_away(tool: Tool, registry: Registry, tmp_path: Path) -> None:
    registry.told = lambda name: {"data": {"id": name, "hmac": {"value": "s3cret"}}}

    code, _, err = register(tool, tmp_path / "secret")

    kept = tmp_path / ".secret.answer"
    assert code == 1
    assert "registered we_1, but Zyra's answer has no field that we know as its secret (secret, signing_secret" in err
    assert "Its fields are data.id, data.hmac.value; the whole answer is in" in err
    assert "`endpoints delete we_1`" in err
    assert "s3cret" not in err
    assert json.loads(kept.read_text())["data"]["hmac"]["value"] == "s3cret"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert list(registry.endpoints) == ["we_1"]


@pytest.mark.parametrize(("told", "status"), [(None, 0), ({"error": "later"}, 502), (b"<html>", 503)])
def test_an_endpoint_whose_answer_was_lost_does_not_stay(
    tool: Tool, registry: Registry, tmp_path: Path, told: Any, status: int
) -> None:
    registry.told, registry.status = told, status

    code, _, err = register(tool, tmp_path / "secret")

    assert code == 1
    assert "The new endpoint we_1 was deleted again, and nothing else has changed" in err
    assert (registry.endpoints, registry.deleted) == ({}, ["we_1"])
    assert not (tmp_path / "secret").exists()


def test_what_was_not_made_is_told(tool: Tool, registry: Registry, tmp_path: Path) -> None:
    def told(name: str) -> Any:
        registry.endpoints.clear()
        return {"error": "busy"}

    registry.told, registry.status = told, 500

    code, _, err = register(tool, tmp_path / "secret")

    assert (code, "Zyra lists no new endpoint, so nothing has changed" in err) == (1, True)


def test_a_registration_that_a_person_breaks_off_leaves_nothing(
    tool: Tool, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.told = lambda name: {"data": {"id": name, "secret": "s"}}
    real = Caller.fetch_answer

    def interrupted(*arguments: Any) -> Any:
        yield from real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Caller, "fetch_answer", interrupted)

    code, _, err = register(tool, tmp_path / "secret")

    assert (code, registry.endpoints, registry.deleted) == (1, {}, ["we_1"])
    assert "broken off. The new endpoint we_1 was deleted again" in err


def test_one_that_may_stay_is_told(tool: Tool, registry: Registry, tmp_path: Path) -> None:
    def told(name: str) -> Any:
        registry.lists = False
        return b"<html>"

    registry.told, registry.status = told, 502

    code, _, err = register(tool, tmp_path / "secret")

    assert code == 1
    assert f"An endpoint for {URL} may be registered whose secret is not known: `endpoints list` shows it" in err
    assert err.count("502") == 1


def test_what_is_refused_leaves_nothing(tool: Tool, registry: Registry, tmp_path: Path) -> None:
    def told(name: str) -> Any:
        registry.endpoints.clear()
        return {"detail": [{"loc": ["body", "url"], "msg": "must be public"}]}

    registry.told, registry.status = told, 422

    code, _, err = register(tool, tmp_path / "secret")

    assert (code, registry.deleted) == (1, [])
    assert err.count("url: must be public") == 1


def test_a_secret_that_cannot_be_written_takes_its_endpoint_along(
    tool: Tool, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.told = lambda name: {"data": {"id": name, "secret": "s"}}

    def fails(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.cli.secret_file.write", fails)

    code, _, err = register(tool, tmp_path / "secret")

    assert code == 1
    assert "No space left on device" in err
    assert (registry.endpoints, registry.deleted) == ({}, ["we_1"])


def test_nothing_is_sent_for_an_id_that_is_none(tool: Tool, registry: Registry) -> None:
    code, _, err = tool("endpoints", "delete", "None")

    assert (code, registry.deleted) == (2, [])
    assert "'None' is no id" in err


def test_an_answer_that_cannot_be_kept_says_so(
    tool: Tool, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody knows the secret, so the endpoint goes."""
    registry.told = lambda name: {"data": {"id": name}}

    def fails(path: Path, content: bytes) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("workers.cli.secret_file.keep_answer", fails)

    code, _, err = register(tool, tmp_path / "secret")

    assert code == 1
    assert "No space left on device" in err
    assert registry.endpoints == {}
