import json
import socket
import threading

import pytest
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.cluster import CLUSTER
from tests.support.kit import Dead, Server, Tool, accept, run
from workers.ledger.transitions import Ledger


def test_a_ledger_that_may_not_be_read_is_a_fault(env: dict[str, str], own_server: Server, tool: Tool) -> None:
    admin = redis.Redis.from_url(own_server.url)
    admin.execute_command("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-mget")
    admin.close()
    url = own_server.url.replace("://", "://u:p@")

    found = run("workers.cli", "check", env={"REDIS_URL": url})

    assert found.returncode == 2
    assert "error: deliveries get 503: the user of REDIS_URL lacks a right" in found.stderr


def test_the_mode_of_the_server_is_named(tool: Tool) -> None:
    assert ("Redis: cluster mode, slot" if CLUSTER else "Redis: single server\n") in tool("check")[1]


@pytest.mark.parametrize("command", [["check"], ["check", "--role", "worker"], ["serve"], ["work", "--burst"]])
def test_a_ledger_of_an_older_release_is_refused(
    env: dict[str, str], ledger: Ledger, seal: Seal, client: redis.Redis, keys: Keys, command: list[str]
) -> None:
    event = accept(ledger, seal)
    client.delete(keys.name("format"))

    found = run("workers.cli", *command)

    assert found.returncode == 2
    assert f"the ledger of QUEUE={keys.queue} has no format number" in found.stderr
    assert f"QUEUE={keys.queue}-1 for all receivers and workers" in found.stderr
    assert client.hget(keys.event(event), "state") == b"accepted"


def test_status_has_an_exit_code_for_cron(tool: Tool, dead: Dead) -> None:
    assert tool("status", "--fail")[0] == 0
    dead()

    assert tool("status")[0] == 0
    assert tool("status", "--fail")[0] == 1
    assert tool("status", "--fail", "--json")[0] == 1


def test_a_server_that_is_not_what_the_url_says_is_explained(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def close_at_once() -> None:
            while True:
                try:
                    listener.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=close_at_once, daemon=True).start()
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        code, _, err = tool("check")

        monkeypatch.setenv("REDIS_URL", f"rediss://127.0.0.1:{listener.getsockname()[1]}/0")
        with_tls = tool("check")

    assert (code, "if it speaks TLS at this port, REDIS_URL begins with rediss://" in err) == (1, True)
    assert (with_tls[0], with_tls[2].startswith("error: rediss://127")) == (1, True)


def test_check_tries_to_write(tool: Tool, own_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = redis.Redis.from_url(own_server.url)
    admin.config_set("min-replicas-to-write", 1)
    monkeypatch.setenv("REDIS_URL", own_server.url)

    code, _, err = tool("check")

    assert (code, "deliveries get 503: too few replicas confirm" in err) == (2, True)
    admin.close()


def test_every_metric_is_listed(tool: Tool) -> None:
    rows = [json.loads(line) for line in tool("metrics", "--list", "--json")[1].splitlines()]

    assert {"name": "zr_unavailable_total", "labels": "source,cause", "of": "receivers"}.items() <= rows[4].items()
    assert len({row["name"] for row in rows}) == len(rows) > 30
    assert len(tool("metrics")[1].splitlines()) == len(rows)


def test_a_password_that_is_wrong_is_called_one(
    tool: Tool, own_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = redis.Redis.from_url(own_server.url)
    admin.config_set("requirepass", "right")
    separator = "&" if "?" in own_server.url else "?"
    monkeypatch.setenv("REDIS_URL", f"{own_server.url}{separator}password=wrong")

    code, _, err = tool("check")

    assert (code, "Redis refuses the user or the password of REDIS_URL" in err) == (1, True)
    admin.close()
