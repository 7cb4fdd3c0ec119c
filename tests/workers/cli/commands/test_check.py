import pytest
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import accept, run
from workers.ledger.transitions import Ledger


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
