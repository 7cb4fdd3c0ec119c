import pytest
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.cluster import CLUSTER
from tests.support.kit import Server, Tool, accept, run
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
    assert found.stderr.startswith(f"error: the ledger of QUEUE={keys.queue} has no format number")
    assert f"QUEUE={keys.queue}-1 for all receivers and workers" in found.stderr
    assert client.hget(keys.event(event), "state") == b"accepted"
