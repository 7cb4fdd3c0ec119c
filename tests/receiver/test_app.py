"""The answer table, over real HTTP, against a real server."""

import asyncio
import base64
import gzip
import hmac
import json
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from prometheus_client import CollectorRegistry, generate_latest
from starlette.testclient import TestClient

from receiver import settings
from receiver.app import create_app
from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import Keys
from receiver.schemes import load_schemes
from tests.support import https
from tests.support.kit import Server, dispatch, free_port, payload, running, sign_headers, signed, wait_for
from tests.support.receiver import post, serving, sources
from workers.ledger.transitions import Ledger


def test_a_valid_delivery_is_accepted_and_its_repetition_known(
    http: TestClient, keys: Keys, client: redis.Redis
) -> None:
    body = payload(id="vs_1")

    first, second = post(http, body), post(http, body)

    assert (first.status_code, first.json()["status"]) == (202, "accepted")
    assert second.json() == {"id": first.json()["id"], "status": "duplicate"}
    assert client.llen(keys.jobs) == 1
    assert client.hget(keys.event(first.json()["id"]), "duplicates") == b"1"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-zyra-signature": ""},
        {"x-zyra-signature": "0" * 64},
        {"x-zyra-signature": "ÿ" * 64},
        {"x-zyra-signature": "x"},
    ],
)
def test_every_bad_signature_gets_the_same_answer_and_writes_nothing(
    http: TestClient, keys: Keys, client: redis.Redis, headers: dict[str, str]
) -> None:
    answer = http.post(
        "/webhooks/zyra", content=b"{}", headers=[(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
    )

    assert (answer.status_code, answer.json()) == (401, {"error": "signature required"})
    assert not client.keys(keys.prefix + "*")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/webhooks/nobody", 404),
        ("POST", "/webhooks/", 404),
        ("POST", "/webhooks/zyra/", 404),
        ("POST", "/webhooks//zyra", 404),
        ("POST", "/webhooks/%2e%2e", 404),
        ("POST", "/webhooks/zyra%00", 404),
        ("POST", "/", 404),
        ("GET", "/webhooks/zyra", 405),
        ("PUT", "/webhooks/zyra", 405),
        ("POST", "/livez", 405),
    ],
)
def test_wrong_paths_and_methods(http: TestClient, method: str, path: str, status: int) -> None:
    answer = http.request(method, path, content=b"{}", headers=signed(b"{}"))

    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert status != 405 or answer.headers["allow"]


@pytest.mark.parametrize(("encoding", "status"), [("gzip", 415), ("br", 415), ("identity", 202), ("", 202)])
def test_content_encodings(http: TestClient, encoding: str, status: int) -> None:
    body = payload()

    assert post(http, body, signed(body) | {"content-encoding": encoding}).status_code == status


def test_a_body_over_the_limit_is_refused_however_it_comes(http: TestClient) -> None:
    big = b"x" * (1024 * 1024 + 1)

    announced = post(http, big)
    chunked = http.post("/webhooks/zyra", content=iter([big[:1000], big[1000:]]), headers=signed(big))

    assert [announced.status_code, chunked.status_code] == [413, 413]
    assert announced.headers["connection"] == "close"


@pytest.mark.parametrize(
    "body", [b"", b"nope", b"\xff\xfe", b"[]", b"[" * 5000, b'{"a":NaN}', b'{"id":1,"id":2}', b'"text"']
)
def test_signed_but_unreadable_is_accepted(http: TestClient, body: bytes) -> None:
    assert post(http, body).status_code == 202


def test_types_and_ids_that_no_text_can_hold_do_no_harm(http: TestClient) -> None:
    body = b'{"event_id":"\\ud800"}'

    assert post(http, body).status_code == 202


def test_one_delivery_a_hundred_times_at_once(env: dict[str, str], client: redis.Redis, keys: Keys) -> None:
    body = payload()

    async def all_at_once() -> list[Any]:
        app = create_app(settings.read(env), CollectorRegistry())
        async with app.router.lifespan_context(app):
            transport = httpx2.ASGITransport(app=app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
                return await asyncio.gather(
                    *(http.post("/webhooks/zyra", content=body, headers=signed(body)) for _ in range(100))
                )

    answers = asyncio.run(all_at_once())

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.json()["status"] for answer in answers)[:2] == ["accepted", "duplicate"]
    assert client.llen(keys.jobs) == 1


def test_a_source_may_answer_otherwise(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\nsuccess_status = 204\n'
    )
    with TestClient(
        create_app(settings.read(env | {"RECEIVER_CONFIG": str(tmp_path / "c.toml")}), CollectorRegistry())
    ) as http:
        answer = post(http, b"{}")

    assert (answer.status_code, answer.content) == (204, b"")


def test_a_challenge_is_answered_and_nothing_is_written(
    env: dict[str, str], tmp_path: Path, client: redis.Redis
) -> None:
    text = (
        '[sources.m]\nscheme = "meta"\nsecrets = ["env:S"]\nparameter = "verify"\n'
        '[sources.t]\nscheme = "trello"\nunconfirmed = true\nsecrets = ["env:S"]\npublic_url = "https://a/webhooks/t"\n'
    )
    asked = "/webhooks/m?hub.mode=subscribe&hub.challenge=%3Cb%3E&hub.verify_token="
    before, registry = client.dbsize(), CollectorRegistry()

    with sources(env, tmp_path, text, registry) as http:
        good, bad, other, head = (
            http.get(asked + "verify"), http.get(asked + "x"), http.get("/webhooks/m"), http.head("/webhooks/t"),
        )  # fmt: skip

        assert (good.status_code, good.text) == (200, "<b>")
        assert good.headers["content-type"] == "text/plain; charset=utf-8"
        assert good.headers["x-content-type-options"] == "nosniff"
        assert (bad.status_code, bad.json()) == (401, {"error": "signature required"})
        assert (other.status_code, head.status_code) == (405, 200)
        assert client.dbsize() == before
        assert 'zr_handshakes_total{source="m"} 1.0' in generate_latest(registry).decode()


def test_the_url_that_the_provider_called_is_what_the_operator_says(env: dict[str, str], tmp_path: Path) -> None:
    text = '[sources.s]\nscheme = "square"\nsecrets = ["env:S"]\npublic_url = "https://hooks.example.com/in/square"\n'
    body, scheme = b'{"event_id": "e", "type": "a"}', load_schemes()["square"]
    headers = sign_headers(scheme, b"test-secret", body, "a", "e", 0, "https://hooks.example.com/in/square?a=%20b")

    with sources(env, tmp_path, text) as http:
        good = http.post("/webhooks/s?a=%20b", content=body, headers=headers)
        bad = http.post("/webhooks/s", content=body, headers=headers)

    assert (good.status_code, bad.status_code) == (200, 401)


def test_a_compressed_delivery(env: dict[str, str], tmp_path: Path, client: redis.Redis) -> None:
    text = (
        '[sources.g]\nscheme = "getstream"\nsecrets = ["env:S"]\n[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\n'
    )
    body = b'{"type": "message.new"}'
    headers = sign_headers(load_schemes()["getstream"], b"test-secret", body, "", "", 0) | {"content-encoding": "gzip"}

    with sources(env | {"MAX_BODY_BYTES": "1024"}, tmp_path, text) as http:
        good = http.post("/webhooks/g", content=gzip.compress(body), headers=headers)
        bomb = http.post("/webhooks/g", content=gzip.compress(b"x" * 2000), headers=headers)
        bad = http.post("/webhooks/g", content=b"no gzip", headers=headers)
        other = http.post("/webhooks/zyra", content=gzip.compress(body), headers=headers)

    assert [answer.status_code for answer in (good, bomb, bad, other)] == [200, 413, 401, 415]


def test_answers_that_providers_want(env: dict[str, str], tmp_path: Path) -> None:
    text = '[sources.g]\nscheme = "gocardless"\nsecrets = ["env:S"]\n[sources.d]\nscheme = "dropbox-sign"\nsecrets = ["env:S"]\n'
    event = json.dumps(
        {
            "event": {
                "event_time": "1",
                "event_type": "sent",
                "event_hash": hmac.digest(b"test-secret", b"1sent", "sha256").hex(),
            }
        }
    )

    with sources(env, tmp_path, text) as http:
        refused = http.post("/webhooks/g", content=b"{}")
        taken = http.post("/webhooks/d", data={"json": event})

    assert (refused.status_code, taken.status_code, taken.text) == (498, 200, "Hello API Event Received")


def test_a_budget_that_one_large_body_would_fill_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="at least twice MAX_BODY_BYTES"):
        settings.read(env | {"MAX_BODY_BYTES": "1000000", "BODY_BUDGET_BYTES": "1500000"})


def test_the_start_warns_of_what_no_source_confirms_and_of_commas(
    env: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "c.toml").write_text(
        '[sources.s]\nscheme = "trello"\nunconfirmed = true\nsecrets = ["env:S"]\npublic_url = "https://a/webhooks/s"\n'
        '[sources.z]\nscheme = "sanity"\nsecrets = ["env:S"]\n[schemes.mine]\nsignature = ["header:a"]\n'
        '[sources.m]\nscheme = "mine"\nsecrets = ["env:S"]\n'
    )

    create_app(settings.read(env | {"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "new,old"}), CollectorRegistry())

    assert "source s: S holds a comma, and is one secret" in caplog.text
    assert "source s: its scheme, Trello, is not confirmed" in caplog.text
    assert "source z: no source confirms" in caplog.text
    assert "source m: no" not in caplog.text
    assert "source m: its" not in caplog.text


def test_answers_without_a_body(env: dict[str, str], tmp_path: Path) -> None:
    """Xero: https://developer.xero.com/documentation/guides/webhooks/overview/"""
    text = '[sources.x]\nscheme = "xero"\nunconfirmed = true\nsecrets = ["env:S"]\n'
    good = base64.b64encode(hmac.digest(b"test-secret", b"{}", "sha256")).decode()

    with sources(env, tmp_path, text) as http:
        taken = http.post("/webhooks/x", content=b"{}", headers={"x-xero-signature": good})
        refused = http.post("/webhooks/x", content=b"{}", headers={"x-xero-signature": "AAAA"})

    assert [(taken.status_code, taken.content), (refused.status_code, refused.content)] == [(200, b""), (401, b"")]


def test_a_secret_that_the_provider_tells_is_kept_once(env: dict[str, str], tmp_path: Path) -> None:
    text = f'[sources.a]\nscheme = "asana"\nunconfirmed = true\nsecrets = ["learned:{tmp_path}/hook"]\n'
    body = b'{"events": []}'
    signature = {"x-hook-signature": hmac.digest(b"told-secret", body, "sha256").hex()}

    with sources(env, tmp_path, text) as http:
        early = http.post("/webhooks/a", content=body, headers=signature)
        odd = http.post("/webhooks/a", headers={"x-hook-secret": "a,b,c,d,e,f"})
        told = http.post("/webhooks/a", headers={"x-hook-secret": "told-secret"})
        again = http.post("/webhooks/a", headers={"x-hook-secret": "told-secret"})
        other = http.post("/webhooks/a", headers={"x-hook-secret": "of-a-stranger"})
        event = http.post("/webhooks/a", content=body, headers=signature)

    answers = (early, odd, told, again, other, event)
    assert [answer.status_code for answer in answers] == [401, 401, 200, 200, 401, 200]
    assert told.headers["x-hook-secret"] == "told-secret"


def test_a_told_secret_that_cannot_be_kept_is_our_trouble(env: dict[str, str], tmp_path: Path) -> None:
    text = '[sources.a]\nscheme = "asana"\nunconfirmed = true\nsecrets = ["learned:/nonexistent/hook"]\n'

    with sources(env, tmp_path, text) as http:
        answer = http.post("/webhooks/a", headers={"x-hook-secret": "told-secret"})

    assert answer.status_code == 503


TOPIC = "arn:aws:sns:eu-west-1:1:mine"


def sns(key: rsa.RSAPrivateKey, kind: str, **more: str) -> bytes:
    host = "https://sns.eu-west-1.amazonaws.com"
    moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = {"Type": kind, "MessageId": "m1", "TopicArn": TOPIC, "Message": "hi", "Timestamp": moment,
            "SignatureVersion": "2", "SigningCertURL": f"{host}/key.pem"} | more  # fmt: skip
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{said[name]}\n" for name in names if name in said)
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.dumps(said | {"Signature": base64.b64encode(signature).decode()}).encode()


def test_a_topic_is_subscribed_to_and_its_deliveries_accepted(env: dict[str, str], tmp_path: Path) -> None:
    """Amazon SNS signs with keys that are fetched, and wants an address to be visited before it delivers."""
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confirm = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:1:mine&Token=abc"
    url = f"https://sns.eu-west-1.amazonaws.com{confirm}"
    (tmp_path / "c.toml").write_text(f'[sources.s]\nscheme = "aws-sns"\nparameter = "{TOPIC}"\n')
    found = settings.read(env | {"RECEIVER_CONFIG": str(tmp_path / "c.toml")})

    with https.serving(tmp_path, "sns.eu-west-1.amazonaws.com") as aws:
        aws.answers |= {"/key.pem": (200, public), confirm: (200, b"<ok/>")}
        with TestClient(create_app(found, CollectorRegistry(), aws.fetcher())) as http:
            notification = http.post("/webhooks/s", content=sns(key, "Notification"))
            time.sleep(1.0)  # one fetch begins each second
            confirmation = sns(key, "SubscriptionConfirmation", SubscribeURL=url, Token="abc")
            subscribed = http.post("/webhooks/s", content=confirmation)
            elsewhere = sns(key, "SubscriptionConfirmation", SubscribeURL="https://example.com/", Token="abc")
            other = sns(key, "Notification", TopicArn="arn:aws:sns:eu-west-1:1:theirs")
            refused = [http.post("/webhooks/s", content=body) for body in (elsewhere, other, b"{}")]

    assert (notification.status_code, subscribed.status_code) == (200, 200)
    assert [answer.status_code for answer in refused] == [401] * 3
    assert aws.paths == ["/key.pem", confirm]


def test_the_same_bytes_under_another_id(env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys) -> None:
    """GitHub does not sign the id of a delivery: who has captured one can give it another."""
    text = (
        '[sources.a]\nscheme = "github"\nsecrets = ["env:S"]\n'
        '[sources.b]\nscheme = "github"\nsecrets = ["env:S"]\nrepeats = "duplicate"\n'
    )
    body = b'{"action": "opened"}'
    headers = sign_headers(load_schemes()["github"], b"test-secret", body, "pull_request", "d1", 0)

    nameless = {name: value for name, value in headers.items() if name != "x-github-delivery"}
    others = [headers | {"x-github-delivery": "d2"}, nameless, headers | {"x-github-event": "issues"}]

    def send(path: str, *deliveries: dict[str, str]) -> list[Any]:
        return [http.post(path, content=body, headers=one).json() for one in deliveries]

    with sources(env, tmp_path, text) as http:
        first, again, new, *more = send("/webhooks/a", headers, headers, *others)
        strict = send("/webhooks/b", headers, *others)

    assert [one["status"] for one in (first, again, new)] == ["accepted", "duplicate", "accepted"]
    assert client.hget(keys.event(new["id"]), "repeats") == first["id"].encode()
    assert client.hget(keys.event(first["id"]), "repeats") is None
    assert client.hget(keys.event(first["id"]), "type") == b"pull_request.opened"
    for one in (new, *more):
        assert (one["status"], client.hget(keys.event(one["id"]), "repeats")) == ("accepted", first["id"].encode())
    assert client.hget(keys.name("counters"), "repeats") == b"3"
    assert strict == [strict[0]] + [{"id": strict[0]["id"], "status": "duplicate"}] * 3


def test_over_max_pending_is_503_but_repetitions_are_known(env: dict[str, str]) -> None:
    with TestClient(create_app(settings.read(env | {"MAX_PENDING": "1"}), CollectorRegistry())) as http:
        first, second = payload(), payload()
        answers = [post(http, body) for body in (first, second, first)]

    assert [answer.status_code for answer in answers] == [202, 503, 202]
    assert 5 <= int(answers[1].headers["retry-after"]) <= 15


def test_a_full_redis_is_503(env: dict[str, str], own_server: Server) -> None:
    own_client = redis.Redis.from_url(own_server.url)
    app = create_app(settings.read(env | {"REDIS_URL": own_server.url}), CollectorRegistry())
    with TestClient(app) as http:
        assert post(http, payload()).status_code == 202
        own_client.config_set("maxmemory", 1)
        wait_for(lambda: app.state.watch.full)
        assert post(http, payload()).status_code == 503
        assert "memory" in http.get("/healthz").json()["reasons"][0]
        app.state.watch.memory = 0.0
        assert post(http, payload()).status_code == 503  # Redis says no by itself
        own_client.config_set("maxmemory", 0)
        wait_for(lambda: http.get("/healthz").status_code == 200)
        assert post(http, payload()).status_code == 202
    own_client.close()


def test_redis_stopped_and_back(env: dict[str, str], own_server: Server) -> None:
    with serving(REDIS_URL=own_server.url) as http:
        assert post(http, payload()).status_code == 202
        own_server.stop()
        started = time.monotonic()
        refused = post(http, payload())
        took = time.monotonic() - started
        wait_for(lambda: http.get("/healthz").status_code == 503)

        assert (refused.status_code, refused.json()) == (503, {"error": "try again later"})
        assert "retry-after" in refused.headers
        assert took < 2
        assert [http.get(path).status_code for path in ("/livez", "/readyz")] == [200, 200]
        own_server.start()
        wait_for(lambda: post(http, payload()).status_code == 202)
        wait_for(lambda: http.get("/healthz").status_code == 200)


def test_a_hanging_redis_is_503_within_two_seconds(env: dict[str, str], own_server: Server) -> None:
    with serving(REDIS_URL=own_server.url) as http:
        assert post(http, payload()).status_code == 202
        own_server.pause()
        for _ in range(3):
            started = time.monotonic()
            assert post(http, payload()).status_code == 503
            assert time.monotonic() - started < 2.2
        assert http.get("/livez").status_code == 200
        own_server.resume()
        wait_for(lambda: post(http, payload()).status_code == 202)


def test_not_ready_until_redis_has_once_met_the_level(env: dict[str, str], own_server: Server) -> None:
    own_client = redis.Redis.from_url(own_server.url)
    own_client.config_set("maxmemory-policy", "allkeys-lru")
    with TestClient(create_app(settings.read(env | {"REDIS_URL": own_server.url}), CollectorRegistry())) as http:
        assert http.get("/readyz").status_code == 503
        assert "noeviction" in http.get("/readyz").json()["reasons"][0]
        assert post(http, payload()).status_code == 503  # what is answered 2xx is kept
        own_client.config_set("maxmemory-policy", "noeviction")
        wait_for(lambda: http.get("/readyz").status_code == 200)
        assert post(http, payload()).status_code == 202
        own_client.config_set("maxmemory-policy", "allkeys-lru")  # a later lack is for monitors to tell
        wait_for(lambda: http.get("/healthz").status_code == 503)
        assert post(http, payload()).status_code == 202
    own_client.close()


def test_a_ledger_of_an_older_release_gets_nothing_new(env: dict[str, str], client: redis.Redis, keys: Keys) -> None:
    """Where Redis answered only after the start; else `serve` would not have started."""
    client.set(keys.name("ordinal"), 5)

    with TestClient(create_app(settings.read(env), CollectorRegistry())) as http:
        assert post(http, payload()).status_code == 503
        assert "has no format number" in http.get("/readyz").json()["reasons"][0]

    assert client.get(keys.name("ordinal")) == b"5"


def test_junk_in_redis_is_503_and_named(http: TestClient, keys: Keys, client: redis.Redis) -> None:
    client.set(keys.name("events"), "junk")

    assert post(http, payload()).status_code == 503


def test_a_junk_mark_fails_its_own_event_only(http: TestClient, keys: Keys, client: redis.Redis) -> None:
    body = payload()
    post(http, body)
    mark = client.keys(keys.name("seen:*"))[0]
    client.delete(mark)
    client.rpush(mark, "junk")

    assert [post(http, body).status_code, post(http, payload()).status_code] == [503, 202]


def test_a_restarted_redis_knows_no_scripts(http: TestClient, client: redis.Redis) -> None:
    post(http, payload())
    client.script_flush()

    assert post(http, payload()).status_code == 202


def raw(http: httpx2.Client, data: bytes, *, shut: bool = False) -> bytes:
    """What comes back for these bytes on a connection of their own, until it is closed."""
    with socket.create_connection((http.base_url.host, http.base_url.port), timeout=20) as connection:
        connection.sendall(data)
        if shut:
            return b""
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_slow_and_vanishing_senders(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    head = b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
    with serving(METRICS_PORT=str(port)) as http:
        raw(http, head, shut=True)
        started = time.monotonic()
        answer = raw(http, head)
        took = time.monotonic() - started
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()
    assert 9.5 < took < 12
    assert "zr_disconnects_total 1.0" in text
    assert 'zr_refused_total{cause="deadline",source="zyra",status="408"} 1.0' in text


def test_headers_have_a_deadline_and_a_size(env: dict[str, str]) -> None:
    with serving() as http:
        started = time.monotonic()
        late = raw(http, b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nX-A: ")
        took = time.monotonic() - started
        big = raw(http, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 70_000)
        assert http.get("/livez").status_code == 200

    assert late.startswith(b"HTTP/1.1 408")
    assert 9.5 < took < 12
    assert big.startswith(b"HTTP/1.1 431")


def test_an_upgrade_is_ignored(env: dict[str, str]) -> None:
    body = payload()
    upgrade = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AA"}
    with serving() as http:
        answer = post(http, body, signed(body) | upgrade)

    assert answer.status_code == 202


@pytest.mark.parametrize(
    "head",
    [
        b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nabc",
        b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\nConnection: close\r\n\r\n",
        b"POST /webhooks/zyra HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
        b"GARBAGE\r\n\r\n",
    ],
)
def test_broken_http_is_a_4xx(env: dict[str, str], head: bytes) -> None:
    with serving() as http:
        assert raw(http, head)[:10] == b"HTTP/1.1 4"


def test_a_repeated_signature_header_is_401(http: TestClient) -> None:
    body = payload()
    headers = list(signed(body).items())

    answer = http.post("/webhooks/zyra", content=body, headers=[*headers, ("x-zyra-signature", "0" * 64)])

    assert answer.status_code == 401


def test_a_configuration_fault_ends_serve_with_2(env: dict[str, str]) -> None:
    with running("workers.cli", "serve", env={"SEAL_KEY": "x", "PORT": "x", "ZYRA_WEBHOOK_SECRET": ""}) as process:
        _, said = process.communicate(timeout=20)

    assert process.returncode == 2
    assert [json.loads(line)["text"].split()[0] for line in said.splitlines()] == ["source", "PORT", "SEAL_KEY"]


def test_metrics_count_what_happened(env: dict[str, str], client: redis.Redis, keys: Keys) -> None:
    registry = CollectorRegistry()
    with TestClient(create_app(settings.read(env), registry)) as http:
        body = payload()
        post(http, body)
        post(http, body)
        http.post("/webhooks/zyra", content=body)
        untyped = b'{"event_id": "evt_untyped"}'
        post(http, untyped, {"x-zyra-signature": signed(untyped)["x-zyra-signature"]})
        post(http, b"x" * 2_000_000)
        http.post("/webhooks/nobody", content=body)

    value = registry.get_sample_value
    assert value("zr_accepted_total", {"source": "zyra"}) == 2
    assert value("zr_untyped_total", {"source": "zyra"}) == 1
    assert client.hget(keys.name("counters"), "untyped:zyra") == b"1"
    assert value("zr_refused_total", {"source": "zyra", "status": "413", "cause": "size"}) == 1
    assert value("zr_refused_total", {"source": "", "status": "404", "cause": "source"}) == 1
    assert value("zr_duplicates_total", {"source": "zyra"}) == 1
    assert value("zr_refused_total", {"source": "zyra", "status": "401", "cause": "missing"}) == 1
    assert value("zr_ack_seconds_count") == 3
    assert value("zr_redis_up") == 1


def test_a_source_may_take_larger_bodies(env: dict[str, str], tmp_path: Path) -> None:
    text = (
        '[sources.hub]\nscheme = "github"\nsecrets = ["env:S"]\n'
        '[sources.small]\nscheme = "github"\nsecrets = ["env:S"]\nmax_body = 2048\n'
        '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\n'
    )
    body = b'{"a": "' + b"x" * 2_000_000 + b'"}'
    headers = sign_headers(load_schemes()["github"], b"test-secret", body, "push", "d1", 0)

    with sources(env, tmp_path, text) as http:
        answers = [http.post(f"/webhooks/{name}", content=body, headers=headers) for name in ("hub", "small", "zyra")]

    assert [answer.status_code for answer in answers] == [200, 413, 413]


@pytest.mark.parametrize(("redelivery", "wishes"), [("replay", 3), ("ignore", 0)])
def test_a_redelivery_of_what_ended_without_success_is_a_wish(
    env: dict[str, str], tmp_path: Path, ledger: Ledger, redelivery: str, wishes: int
) -> None:
    text = f'[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:S"]\nredelivery = "{redelivery}"\n'
    body, told, wanted = payload(), [], 0
    with sources(env, tmp_path, text) as http:
        first = post(http, body).json()
        again = post(http, body).json()
        for _ in range(5):
            for claim in ledger.take([], 5):
                dispatch(ledger, claim, "unhandled")
            told.append(post(http, body).json())
            for event in ledger.list_redeliveries():
                wanted += 1
                ledger.replay(event)
                ledger.forget_redelivery(event)

    assert again == {"id": first["id"], "status": "duplicate"}  # while it is under way nobody needs to wish
    assert told[0] == {"id": first["id"], "status": "duplicate", "state": "unhandled"}
    assert wanted == wishes
