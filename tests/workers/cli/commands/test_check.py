import pytest
import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import Tool, accept
from workers.ledger.transitions import Ledger


@pytest.mark.parametrize("command", [["check"], ["check", "--role", "worker"], ["serve"], ["work", "--burst"]])
def test_a_ledger_of_an_older_release_is_refused(
    tool: Tool, ledger: Ledger, seal: Seal, client: redis.Redis, keys: Keys, command: list[str]
) -> None:
    event = accept(ledger, seal)
    client.delete(keys.name("format"))

    code, _, err = tool(*command)

    assert code == 2
    assert err.startswith(f"error: the ledger of QUEUE={keys.queue} has no format number")
    assert f"QUEUE={keys.queue}-1 for all receivers and workers" in err
    assert client.hget(keys.event(event), "state") == b"accepted"
