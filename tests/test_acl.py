"""The main path under deploy/users.acl, and what each user cannot do."""

import subprocess
from pathlib import Path

import httpx2
import pytest
import redis
from prometheus_client import CollectorRegistry

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.ledger_metrics import LedgerCollector
from receiver.contract.seal import Seal
from tests.support.kit import Server, free_port, payload, run, running, signed, wait_for
from tests.support.receiver import up
from workers.cli.embedded import binary
from workers.ledger import query
from workers.ledger.transitions import Ledger
from workers.zyra.budget import Budget
from workers.zyra.credentials import Login, Token
from workers.zyra.routes import Limit, load_default_routes

ACL = Path(__file__).parent.parent / "deploy/users.acl"


@pytest.fixture
def users(own_server: Server) -> dict[str, str]:
    """URLs by user; the tests keep the default user for themselves."""
    client = redis.Redis.from_url(own_server.url)
    for line in ACL.read_text().splitlines():
        if line.startswith(("user receiver", "user worker")):
            client.execute_command("ACL", "SETUSER", *line.split()[1:])
    client.close()
    names = ("receiver", "worker")
    return {name: own_server.url.replace("://", f"://{name}:replace-me-{name}@") for name in names}


def test_the_main_path_needs_no_more_rights(users: dict[str, str], env: dict[str, str], own_server: Server) -> None:
    port = free_port()
    ledger = Ledger(connect(own_server.url, ""), Keys(env["QUEUE"]))
    body = payload()
    with (
        running("workers.cli", "serve", env={"PORT": str(port), "REDIS_URL": users["receiver"]}),
        running("workers.cli", "work", env={"REDIS_URL": users["worker"]}),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        wait_for(lambda: up(http))
        assert http.get("/healthz").status_code == 200
        answers = [
            http.post("/webhooks/zyra", content=body, headers=signed(body, "basic.two")).json() for _ in range(2)
        ]
        event = answers[0]["id"]
        found = wait_for(
            lambda: (
                (f := query.show(ledger, event))
                and [r["state"] for r in f["runs"]] == ["done", "done", "waiting"]
                and f
            )
        )
        assert found["duplicates"] == 1
        hopeless = http.post("/webhooks/zyra", content=b"{}", headers=signed(b"{}", "hopeless")).json()["id"]
        wait_for(lambda: (query.show(ledger, hopeless) or {})["state"] == "dead")
        commands = (
            ["events", "list"],
            ["events", "replay", hopeless],
            ["status"],
            ["check", "--role", "worker"],
            ["health", "--role", "worker"],
        )
        for command in commands:
            said = run("workers.cli", *command, env={"REDIS_URL": users["worker"]})
            assert said.returncode == 0, (command, said.stderr, said.stdout)
        assert run("workers.cli", "check", env={"REDIS_URL": users["receiver"]}).returncode == 0
        wait_for(lambda: (query.show(ledger, hopeless) or {})["state"] == "done")
    ledger.client.close()


def test_the_file_can_be_loaded_as_it_is(tmp_path: Path) -> None:
    """Comments, and words that are younger than Redis 7.0, would stop the server."""
    file = tmp_path / "users.acl"
    file.write_text(ACL.read_text())
    command = [binary(), "--port", "0", "--unixsocket", str(tmp_path / "s"), "--aclfile", str(file), "--save", ""]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        client = redis.Redis.from_url(f"unix://receiver:replace-me-receiver@{tmp_path}/s")
        try:
            wait_for(lambda: answers(client))
        finally:
            client.close()
            process.terminate()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("receiver", ["GET", "zr:{events}:body:x"]),
        ("receiver", ["LRANGE", "{events}:rq:queue:events", "0", "-1"]),
        ("receiver", ["HGETALL", "{events}:rq:job:x"]),
        ("receiver", ["SET", "other", "x"]),
        ("receiver", ["PUBLISH", "{events}:rq:pubsub:x", "x"]),
        ("receiver", ["FLUSHALL"]),
        ("receiver", ["KEYS", "*"]),
        ("worker", ["FLUSHALL"]),
        ("worker", ["KEYS", "*"]),
        ("worker", ["CONFIG", "SET", "dir", "/"]),
        ("worker", ["SET", "other", "x"]),
        ("worker", ["PUBLISH", "{events}:rq:pubsub:x", "x"]),
        ("worker", ["SHUTDOWN"]),
    ],
)
def test_what_a_user_cannot_do(users: dict[str, str], user: str, command: list[str]) -> None:
    client = redis.Redis.from_url(users[user])

    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)
    client.close()


@pytest.mark.parametrize("user", ["receiver", "worker"])
def test_both_may_read_what_metrics_show(users: dict[str, str], user: str) -> None:
    client, registry = connect(users[user], "{events}"), CollectorRegistry()
    registry.register(LedgerCollector(client, Keys("events"), user))

    assert registry.get_sample_value("zr_ledger_up") == 1
    client.close()


def test_a_worker_may_count_its_calls(users: dict[str, str], seal: Seal) -> None:
    client = connect(users["worker"], "")
    budget = Budget(client)

    assert budget.take("k", Limit.READ, "a", "t").seconds == 0
    budget.hold("k", Limit.READ, 1)
    assert [budget.refuse("k"), budget.is_refused("k"), budget.accept("k")] == [True, True, True]
    assert len(budget.list_waiting("k")) == 3
    ring = Login("u", str, client, seal, load_default_routes())
    assert [ring._read(), ring._lock(), ring._unlock(), ring.forget("a")] == [None, True, None, True]
    ring._keep(Token("a", until=1e12))
    client.close()
