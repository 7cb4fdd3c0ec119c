"""What operators are told, over the front door."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from starlette.testclient import TestClient

from receiver import notices
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from receiver.signatures import diagnosis
from tests.support.kit import payload, signed, wait_for
from tests.support.receiver import post, sources

TEXT = '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET", "env:S"]\n'
WRONG = {"x-zyra-signature": "0" * 64, "x-zyra-event": "a.b", "authorization": "Bearer credential"}


def refusals(client: redis.Redis, keys: Keys) -> list[dict[str, Any]]:
    names = [name.decode() for name in client.smembers(keys.name("refusals"))]
    return [json.loads(one) for name in names for one in client.lrange(keys.name(f"refusals:{name}"), 0, -1)]


def storm(http: TestClient, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert post(http, b'{"secret": "payload"}', WRONG).json() == {"error": "signature required"}


def test_a_refusal_is_explained_to_the_operator_alone(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    with sources(env, tmp_path, TEXT) as http:
        storm(http, 2.5)
        wait_for(lambda: refusals(client, keys))

    found = refusals(client, keys)
    assert len(found) <= 4  # one a second, however many there were
    assert found[0]["cause"] == "wrong"
    assert found[0]["reason"].startswith("wrong secret, or the body was changed on the way")
    assert found[0]["body_bytes"] == 21
    assert found[0]["headers"]["x-zyra-signature"] == "(64 bytes)"
    assert "credential" not in str(found)
    assert "body_b64" not in found[0]
    assert 0 < client.ttl(keys.name("refusals:zyra")) <= 86400


def test_bodies_are_captured_only_where_that_is_asked_for(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    with sources(env, tmp_path, TEXT + "capture = true\n") as http:
        post(http, b"body", WRONG)
        (found,) = wait_for(lambda: refusals(client, keys))

    sealed = base64.b64decode(found["body_sealed"])
    assert (
        Seal(Secret("SEAL_KEY", env["SEAL_KEY"], None), keys.queue).unwrap(f"refusal:{found['id']}", sealed) == b"body"
    )
    assert "body_b64" not in found
    assert "refused bodies are captured for 60 minutes" in caplog.text


def test_capturing_ends_by_itself(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices, "CAPTURE_SECONDS", 0.0)
    with sources(env, tmp_path, TEXT + "capture = true\n") as http:
        post(http, b"body", WRONG)
        (found,) = wait_for(lambda: refusals(client, keys))

    assert not {"body_b64", "body_sealed"} & found.keys()


def test_a_fault_of_ours_does_not_end_the_explaining(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "try_causes", lambda *_: 1 / 0)
    with sources(env, tmp_path, TEXT) as http:
        post(http, b"body", WRONG)
        (found,) = wait_for(lambda: refusals(client, keys))

    assert found["reason"] == "not explained: a fault of ours"


def test_which_secret_verified_a_delivery_is_counted(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    with sources(env, tmp_path, TEXT) as http:
        for _ in range(3):
            body = payload()
            assert post(http, body, signed(body)).status_code == 202
        wait_for(lambda: client.hlen(keys.name("secrets")))

    days = list(client.scan_iter(keys.name("secrets:*")))
    assert [client.hvals(day) for day in days] == [[b"3"]]
    assert 0 < client.ttl(days[0]) <= 8 * 86400
    assert env["ZYRA_WEBHOOK_SECRET"] not in str(client.hgetall(keys.name("secrets")))
