"""Logins, shared in a real Redis, against the sandbox; and keys that Zyra refuses."""

import base64
import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from tests.support.sandbox import KEY, PLENTY, Sandbox, playing
from workers.errors import RetryLater
from workers.ledger.transitions import Ledger
from workers.monitoring.status import survey
from workers.sandbox.state import User
from workers.zyra import Zyra, credentials
from workers.zyra.budget import Budget
from workers.zyra.caller import Caller
from workers.zyra.calls import Answer
from workers.zyra.credentials import ApiKey, Login, read_token
from workers.zyra.errors import Forbidden, RateLimited, Unauthorized, Unreadable, WrongPassword, ZyraError
from workers.zyra.routes import Limits, load_default_routes

RICH = Limits(create=1000, read=1000, bulk=1000)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with playing(tmp_path, PLENTY) as found:
        yield found


@pytest.fixture
def user(sandbox: Sandbox, client: redis.Redis) -> Iterator[str]:
    name = f"{secrets.token_hex(6)}@example.com"
    sandbox.state.users[name] = User("pw", "org_admin")
    yield name
    for key in client.scan_iter("zr::{api}:u*"):
        client.delete(key)


def test_a_corrected_password_works_at_once(
    sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal, caplog: pytest.LogCaptureFixture
) -> None:
    """What the wrong one did is nothing against the right one; and it is called a password."""
    budget, passwords = Budget(client, RICH), ["wrong"]
    ring = Login(user, lambda: passwords[-1], client, seal, load_default_routes())
    caller = zyra(sandbox, ring, budget)
    for _ in range(3):
        with pytest.raises(WrongPassword):
            caller.devices.get("dev_0001")
    assert len(logins(sandbox)) == 1
    assert caplog.text.count(f"Zyra refuses the login of {user}: ZYRA_API_USER or ZYRA_API_PASSWORD is wrong") == 1

    passwords.append("pw")

    assert caller.devices.get("dev_0001").id == "dev_0001"
    caller.close()


def login(user: str, client: redis.Redis, seal: Seal, password: str = "pw") -> Login:
    return Login(user, lambda: password, client, seal, load_default_routes())


def zyra(sandbox: Sandbox, ring: ApiKey | Login, budget: Budget | None = None) -> Zyra:
    return Zyra(sandbox.url, caller=Caller(ring=ring, budget=budget))


def logins(sandbox: Sandbox) -> list[str]:
    return [str(one["path"]).rpartition("/")[2] for one in sandbox.log() if "/auth/" in str(one["path"])]


def test_one_login_serves_all_workers(sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal) -> None:
    workers = [zyra(sandbox, login(user, client, seal)) for _ in range(8)]
    threads = [threading.Thread(target=one.virtual_servers.get, args=["vs_0001"]) for one in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert logins(sandbox) == ["login"]
    assert len(sandbox.calls("GET")) == 8
    stored = client.get(f"zr::{{api}}:{login(user, client, seal).name}:token")
    assert isinstance(stored, bytes)
    assert b"eyJ" not in stored  # sealed
    for one in workers:
        one.close()


def test_a_token_is_renewed_before_its_end(sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal) -> None:
    sandbox.state.token_seconds = 1.0
    one = zyra(sandbox, login(user, client, seal))
    statuses = []
    for _ in range(15):
        one.virtual_servers.get("vs_0001")
        time.sleep(0.1)
    statuses = [call["status"] for call in sandbox.log()]

    assert set(statuses) == {200}
    assert logins(sandbox)[0] == "login"
    assert set(logins(sandbox)[1:]) == {"refresh"}
    one.close()


def test_a_refresh_that_is_refused_becomes_a_login(
    sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal
) -> None:
    sandbox.state.token_seconds = 0.3
    one = zyra(sandbox, login(user, client, seal))
    one.virtual_servers.get("vs_0001")
    sandbox.state.tokens.clear()
    time.sleep(0.3)

    assert one.virtual_servers.get("vs_0001").id == "vs_0001"
    assert logins(sandbox) == ["login", "refresh", "login"]
    one.close()


def test_a_token_that_is_refused_is_forgotten(sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal) -> None:
    one = zyra(sandbox, login(user, client, seal))
    one.virtual_servers.get("vs_0001")
    sandbox.state.tokens.clear()

    assert one.virtual_servers.get("vs_0001").id == "vs_0001"
    one.close()


def test_a_wrong_password_is_a_refused_key(sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal) -> None:
    one = zyra(sandbox, login(user, client, seal, "wrong"))

    with pytest.raises(Unauthorized):
        one.virtual_servers.get("vs_0001")
    one.close()


def test_a_token_of_another_seal_is_none(sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal) -> None:
    one = zyra(sandbox, login(user, client, seal))
    one.virtual_servers.get("vs_0001")
    other = zyra(sandbox, login(user, client, Seal(Secret("S", secrets.token_hex(32), None))))

    assert other.virtual_servers.get("vs_0001").id == "vs_0001"
    assert logins(sandbox) == ["login", "login"]
    one.close()
    other.close()


def test_who_waits_too_long_for_a_login_comes_back(
    sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "MAX_LOOKS", 2)
    ring = login(user, client, seal)
    client.set(f"zr::{{api}}:{ring.name}:token:lock", "1", px=5000)
    one = zyra(sandbox, ring)

    with pytest.raises(RetryLater, match="another worker logs in"):
        one.virtual_servers.get("vs_0001")
    one.close()


def test_an_old_token_serves_while_another_worker_renews_it(
    sandbox: Sandbox, user: str, client: redis.Redis, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = login(user, client, seal)
    one = zyra(sandbox, ring)
    one.virtual_servers.get("vs_0001")
    client.set(f"zr::{{api}}:{ring.name}:token:lock", "1", px=60_000)
    monkeypatch.setattr(credentials, "RENEW_EARLY_SECONDS", 1e9)
    monkeypatch.setattr(credentials, "RENEW_EARLY_SHARE", 1.0)

    assert one.virtual_servers.get("vs_0001").id == "vs_0001"
    assert logins(sandbox) == ["login"]
    one.close()


@pytest.mark.parametrize(
    ("data", "life"),
    [
        ({"access_token": "a", "expires_in": 60}, 60),
        ({"token": "a"}, credentials.TOKEN_SECONDS),
        ({"jwt": "in 300 s"}, 300),
        ({"jwt": "x.AAAA.y"}, credentials.TOKEN_SECONDS),
    ],
)
def test_the_answer_of_a_login_may_be_shaped_otherwise(data: dict[str, object], life: float) -> None:
    if data.get("jwt") == "in 300 s":
        payload = base64.urlsafe_b64encode(json.dumps({"exp": time.time() + 300}).encode()).decode().rstrip("=")
        data = {"jwt": f"x.{payload}.y"}
    answer = Answer(status=200, headers={}, content=json.dumps({"data": data}).encode())

    found = read_token(load_default_routes()["auth.login"], answer)

    assert found.access
    assert life - 5 < found.until - found.since <= life + 5


def test_a_login_without_a_token_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no token"):
        read_token(load_default_routes()["auth.login"], Answer(status=200, headers={}, content=b'{"data": {}}'))


def test_only_the_beginning_of_a_key_is_shown() -> None:
    assert ApiKey(lambda: "zyra_sk_0123456789abcdef").shown == "zyra_sk_0123456789"


# --- keys that are refused, limits that are reached


@pytest.fixture
def budget(client: redis.Redis) -> Iterator[Budget]:
    yield Budget(client, RICH, 0.4)
    for key in client.scan_iter("zr::{api}*"):
        client.delete(key)


def test_a_wrong_key_is_one_alert_and_a_pause(
    sandbox: Sandbox, budget: Budget, caplog: pytest.LogCaptureFixture, ledger: Ledger
) -> None:
    held = ["zyra_sk_" + secrets.token_hex(8)]
    one = zyra(sandbox, ApiKey(lambda: held[0]), budget)
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            with pytest.raises(Unauthorized) as caught:
                one.virtual_servers.get("vs_0001")
            assert isinstance(caught.value, RetryLater)
        asked = len(sandbox.log())
        time.sleep(budget.pause + 0.05)
        sandbox.state.add_key(held[0])
        assert survey(ledger).stuck[-1].what == f"Zyra refuses {held[0][:18]}"
        assert one.virtual_servers.get("vs_0001").id == "vs_0001"
        assert one.virtual_servers.get("vs_0001").id == "vs_0001"
        assert survey(ledger).stuck == []

    assert asked == 1
    alerts = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(alerts) == 1
    assert held[0][:18] in alerts[0].getMessage()
    assert held[0] not in caplog.text
    assert "accepted again" in caplog.text
    one.close()


def test_another_key_counts_at_once(sandbox: Sandbox, budget: Budget) -> None:
    held = ["zyra_sk_" + secrets.token_hex(8)]
    one = zyra(sandbox, ApiKey(lambda: held[0]), budget)
    with pytest.raises(Unauthorized):
        one.virtual_servers.get("vs_0001")

    held[0] = KEY

    assert one.virtual_servers.get("vs_0001").id == "vs_0001"
    one.close()


def test_a_role_that_is_too_low(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.state.users["m@example.com"] = User("pw", "org_member")
    sandbox.state.add_key("zyra_sk_member", "m@example.com")
    one = sandbox.client(key="zyra_sk_member")

    with pytest.raises(Forbidden):
        list(one.invoices.list())
    assert one.virtual_servers.get("vs_0001").id == "vs_0001"
    assert "org_admin" in caplog.text
    one.close()


def test_no_key_at_all(sandbox: Sandbox) -> None:
    one = zyra(sandbox, ApiKey(str))

    with pytest.raises(Unauthorized, match="not set"):
        one.virtual_servers.get("vs_0001")
    with pytest.raises(Unauthorized, match="ZYRA_SCIM_TOKEN"):
        one.scim_users.get("usr_1")
    one.close()


def test_without_a_budget_a_refusal_is_told_each_time(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    one = zyra(sandbox, ApiKey(lambda: "zyra_sk_wrong"))
    for _ in range(2):
        with pytest.raises(Unauthorized):
            one.virtual_servers.get("vs_0001")

    assert caplog.text.count("Zyra refuses the API key") == 2
    one.close()


def test_a_short_wait_is_waited_and_a_long_one_is_not(
    sandbox: Sandbox, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = zyra(sandbox, ApiKey(lambda: KEY), Budget(client, Limits(read=1), 1.0))
    one.virtual_servers.get("vs_0001")
    monkeypatch.setattr("workers.zyra.caller.MAX_WAIT_MINUTES", 3.0)
    began = time.monotonic()
    one.virtual_servers.get("vs_0001")
    assert time.monotonic() - began > 1.8
    monkeypatch.undo()

    slow = zyra(sandbox, ApiKey(lambda: KEY), Budget(client, Limits(read=1), 60))
    with pytest.raises(RateLimited, match="budget") as caught:
        slow.virtual_servers.get("vs_0001")
    assert 10 < caught.value.seconds < 62
    one.close()
    slow.close()
    for key in client.scan_iter("zr::{api}:*"):
        client.delete(key)


def test_zyras_limit_holds_everybody_back(sandbox: Sandbox, client: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with playing(tmp_path / "b", {"read": 1}, minute=3.0) as strict:
        rich = Budget(client, RICH, 1)
        one, other = zyra(strict, ApiKey(lambda: KEY), rich), zyra(strict, ApiKey(lambda: KEY), rich)
        one.virtual_servers.get("vs_0001")
        with pytest.raises(RateLimited) as caught:
            one.virtual_servers.get("vs_0001")
        with pytest.raises(RateLimited, match="the budget of 250 read calls") as told:
            other.virtual_servers.get("vs_0001")

        assert 1 <= caught.value.seconds <= 4
        assert caught.value.seconds - 0.5 <= told.value.seconds <= caught.value.seconds
        assert [call["status"] for call in strict.log()] == [200, 429]
        assert isinstance(caught.value, ZyraError)
        one.close()
        other.close()
    for key in client.scan_iter("zr::{api}:*"):
        client.delete(key)
