"""The ledger, read for people."""

import redis

from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch
from workers.ledger import query
from workers.ledger.transitions import Ledger


def test_queries_survive_junk(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    event = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", ["a"])
    run = f"{event}-" + client.hget(ledger.keys.event(event), "runs").decode()
    client.delete(ledger.keys.run(run))
    client.set(ledger.keys.run(run), "junk")

    found = query.show(ledger, event)

    assert found is not None
    assert found["runs"][0]["state"] == "missing"
    assert query.show(ledger, "no id") is None
    assert query.show(ledger, "evt_" + "0" * 26) is None
