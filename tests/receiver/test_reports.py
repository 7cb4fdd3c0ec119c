"""What receivers tell `status`, over the front door, and the dead man's switch."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import httpx2
import pytest
import redis

from receiver.contract.connection import connect as connect_blocking
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.survey import survey
from receiver.heartbeat import Heartbeat
from tests.support.kit import Server, payload, signed, wait_for
from tests.support.receiver import post, sources
from workers.ledger.transitions import Ledger

TEXT = '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\n'
WRONG = {"x-zyra-signature": "0" * 64, "x-zyra-event": "a.b"}


def test_a_receiver_shows_that_it_lives_and_that_it_left(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    with sources(env, tmp_path, TEXT):
        wait_for(lambda: survey(client, keys).receivers == 1)

    assert survey(client, keys).receivers == 0


def test_a_source_whose_deliveries_are_refused_is_named_with_the_reason(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    with sources(env, tmp_path, TEXT) as http:
        for _ in range(5):
            post(http, b"{}", WRONG)
        body = payload()
        post(http, body, signed(body, "a.b"))
        post(http, b"{}", WRONG, path="/webhooks/unknown")
        found = wait_for(lambda: (s := survey(client, keys)).refusals and s.heard and s.refusals[0].reason and s)

    (refusal,) = found.refusals
    assert (refusal.source, refusal.cause, refusal.share) == ("zyra", "wrong", "5 of 6")
    (trouble,) = [one for one in found.stuck if "refused" in one.what]
    assert trouble.what == "source zyra: 5 of 6 deliveries refused in 5 min, wrong"
    assert trouble.do.startswith("wrong secret, or the body was changed on the way")
    assert list(found.heard) == ["zyra"]


def test_few_refusals_are_no_trouble(env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys) -> None:
    with sources(env, tmp_path, TEXT) as http:
        post(http, b"{}", WRONG)
        found = wait_for(lambda: (s := survey(client, keys)).refusals and s)

    assert not [one for one in found.stuck if "refused" in one.what]


def test_the_silence_of_a_source_is_a_fault_where_it_is_expected_to_speak(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    with sources(env, tmp_path, TEXT + 'expect_every = "3s"\n') as http:
        never = wait_for(lambda: survey(client, keys).stuck)
        body = payload()
        post(http, body, signed(body, "a.b"))
        wait_for(lambda: not [one for one in survey(client, keys).stuck if "no delivery" in one.what])
        again = wait_for(lambda: [one for one in survey(client, keys).stuck if "no delivery" in one.what])

    assert never[0].what.startswith("source zyra: no delivery for ")
    assert never[0].what.endswith(", ever")
    assert not again[0].what.endswith(", ever")
    assert again[0].do == "expect_every is 3 s: is its endpoint registered?"


def test_a_source_that_no_receiver_has_any_more_is_not_missed(client: redis.Redis, keys: Keys) -> None:
    long_ago = int((time.time() - 3600) * 1000)
    client.hset(keys.name("expected"), mapping={"gone": f"1000 {long_ago} {long_ago}", "junk": "x"})

    assert survey(client, keys).stuck == []


def test_what_the_configuration_says_of_sources_follows_it(
    env: dict[str, str], tmp_path: Path, client: redis.Redis, keys: Keys
) -> None:
    declared = 'keep_done = "2h"\nkeep_body = "1h"\nindex = ["data.customer", "resource"]\nexpect_every = "1h"\n'
    with sources(env, tmp_path, TEXT + declared):
        wait_for(lambda: client.hget(keys.name("indexed"), "zyra"))
    assert client.hgetall(keys.name("keeps")) == {b"zyra": b"7200000 3600000"}
    assert client.hget(keys.name("indexed"), "zyra") == b"data.customer,resource"
    with sources(env, tmp_path, TEXT):
        wait_for(lambda: not client.exists(keys.name("expected")))

    assert not client.exists(keys.name("indexed"))
    assert client.hgetall(keys.name("keeps")) == {b"zyra": b" "}, "its finished events have an index of their own"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('index = ["a", "b", "c", "d", "e"]', "at most 4 paths"),
        ('index = ["data.{resource}"]', "at most 4 paths"),
        ('expect_every = "0s"', "must be at least 1s"),
        ("expect_every = 5", "must be a duration"),
        ('keep_done = "soon"', "is not a duration"),
    ],
)
def test_options_that_make_no_sense_are_named(env: dict[str, str], tmp_path: Path, line: str, fault: str) -> None:
    from receiver.contract.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as refused, sources(env, tmp_path, TEXT + line + "\n"):
        pass
    assert fault in str(refused.value)


# --- the heartbeat


class Calls(httpx2.AsyncBaseTransport):
    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.count = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.count += 1
        if not self.status:
            raise httpx2.ConnectError("no route")
        return httpx2.Response(self.status)


class Healthy:
    unhealthy: Sequence[str] = ()


@pytest.fixture
def beats(ledger: Ledger) -> tuple[Heartbeat, Calls]:
    ledger.client.zadd(ledger.keys.name("workers"), {"w": int(time.time() * 1000)})
    calls = Calls()
    return Heartbeat("https://beat.test/token", ledger.client, ledger.keys, Healthy(), calls), calls  # type: ignore[arg-type]


def test_the_heartbeat_is_heard_while_all_is_well(beats: tuple[Heartbeat, Calls]) -> None:
    heartbeat, calls = beats

    assert asyncio.run(heartbeat.beat())
    assert calls.count == 1


def test_no_heartbeat_without_workers_or_with_trouble(
    beats: tuple[Heartbeat, Calls], ledger: Ledger, seal: Seal, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat, calls = beats
    ledger.client.zadd(ledger.keys.name("junk"), {"x": 1})
    assert not asyncio.run(heartbeat.beat())
    ledger.client.delete(ledger.keys.name("junk"), ledger.keys.name("workers"))
    assert not asyncio.run(heartbeat.beat())
    assert calls.count == 0
    ledger.client.zadd(ledger.keys.name("workers"), {"w": int(time.time() * 1000)})

    assert asyncio.run(heartbeat.beat())
    assert [record.message for record in caplog.records] == [
        "heartbeat not sent: records set aside", "heartbeat not sent: no worker", "heartbeat sent again",
    ]  # fmt: skip


def test_no_heartbeat_while_deliveries_get_503(beats: tuple[Heartbeat, Calls], monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat, calls = beats
    monkeypatch.setattr(Healthy, "unhealthy", ["deliveries get 503: Redis loads its data"])

    assert not asyncio.run(heartbeat.beat())
    assert calls.count == 0


@pytest.mark.parametrize(("status", "said"), [(500, "answers 500"), (0, "cannot be called: ConnectError")])
def test_a_url_that_does_not_answer_is_told_without_it(
    beats: tuple[Heartbeat, Calls], caplog: pytest.LogCaptureFixture, status: int, said: str
) -> None:
    heartbeat, calls = beats
    calls.status = status

    assert not asyncio.run(heartbeat.beat())
    assert said in caplog.text
    assert "beat.test" not in caplog.text


def test_no_heartbeat_while_redis_does_not_answer(own_server: Server, keys: Keys) -> None:
    client = connect_blocking(own_server.url, keys.tag)
    own_server.stop()
    heartbeat = Heartbeat("https://beat.test", client, keys, Healthy(), Calls())  # type: ignore[arg-type]

    assert not asyncio.run(heartbeat.beat())
    client.close()


def test_a_receiver_beats(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("receiver.heartbeat.INTERVAL_SECONDS", 0.05)

    with sources({**env, "HEARTBEAT_URL": "http://127.0.0.1:1/token"}, tmp_path, TEXT):
        wait_for(lambda: "heartbeat not sent: no worker" in caplog.text)


def test_a_heartbeat_url_that_is_none_is_refused_and_not_shown(env: dict[str, str], tmp_path: Path) -> None:
    from receiver import settings
    from receiver.contract.errors import ConfigurationError

    with pytest.raises(ConfigurationError) as refused:
        settings.read({**env, "HEARTBEAT_URL": "secret-token"})
    assert "HEARTBEAT_URL must be a URL" in str(refused.value)
    assert "secret-token" not in str(refused.value)
