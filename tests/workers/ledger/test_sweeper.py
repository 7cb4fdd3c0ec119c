import time

import redis

from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.kit import Server, accept, dispatch
from workers.ledger.sweeper import CONTACT_SECONDS, Sweeper
from workers.ledger.transitions import LEASE_SECONDS, Ledger


def test_leases_end_only_after_some_contact(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    ledger.renew([(claim.unit, claim.token)], lease=0)
    time.sleep(0.01)
    sweeper = Sweeper(ledger)

    first, second = sweeper.sweep(), sweeper.sweep()
    assert first is not None
    assert second is not None
    assert first.expired == second.expired == 0
    sweeper.contact_since = time.monotonic() - CONTACT_SECONDS - 1
    third = sweeper.sweep()

    assert third is not None
    assert third.expired == 1


def test_an_outage_ends_the_contact(own_server: Server, own_ledger: Ledger) -> None:
    sweeper = Sweeper(own_ledger)
    assert sweeper.sweep() is not None
    own_server.stop()

    assert sweeper.sweep() is None
    assert sweeper.contact_since == 0


def test_a_redis_short_of_memory_loses_bodies_of_finished_events(
    own_server: Server, own_ledger: Ledger, keys: Keys, seal: Seal
) -> None:
    client = redis.Redis.from_url(own_server.url)
    event = accept(own_ledger, seal)
    dispatch(own_ledger, own_ledger.take([], 1)[0], "unhandled")
    sweeper = Sweeper(own_ledger)
    assert not sweeper.make_room()
    assert client.exists(keys.body(event))

    client.config_set("maxmemory", 1)
    assert sweeper.make_room(), "it is looked at again soon"

    assert not client.exists(keys.body(event))
    client.close()


def test_a_full_redis_lets_work_end(own_server: Server, own_ledger: Ledger, seal: Seal) -> None:
    from workers.ledger.units import Outcome, Verdict

    client = redis.Redis.from_url(own_server.url)
    accept(own_ledger, seal)
    (claim,) = own_ledger.take([], 1)
    dispatch(own_ledger, claim, "dispatched", "", ["a"])
    (run,) = own_ledger.take([], 1)
    client.config_set("maxmemory", 1)

    assert own_ledger.finish([Outcome(unit=run.unit, token=1, verdict=Verdict.DONE)]) == ["done"]
    assert own_ledger.sweep().deleted == 0
    client.close()


def test_a_jump_of_the_clock_ends_no_lease(ledger: Ledger, seal: Seal) -> None:
    accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    sweeper = Sweeper(ledger)
    sweeper.sweep()
    sweeper.contact_since = time.monotonic() - LEASE_SECONDS - 1
    ledger.renew([(claim.unit, claim.token)], lease=-1800)

    sweeper.clock -= 3600  # as if Redis were an hour further since
    found = sweeper.sweep()

    assert found is not None
    assert (found.expired, found.jumped) == (0, 1)
    assert time.monotonic() - sweeper.contact_since < 1
    again = sweeper.sweep()
    assert again is not None
    assert (again.expired, again.jumped) == (0, 0)


def test_a_clock_that_went_back_leaves_no_endless_lease(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    accept(ledger, seal)
    (claim,) = ledger.take([], 1)
    ledger.renew([(claim.unit, claim.token)], lease=3600)

    ledger.sweep()

    end = client.zscore(ledger.keys.name("dispatching"), claim.unit)
    assert end is not None
    assert end / 1000 - time.time() < LEASE_SECONDS + 1


def test_what_a_provider_delivers_again_is_replayed(ledger: Ledger, seal: Seal, client: redis.Redis) -> None:
    event = accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "unhandled")
    client.zadd(ledger.keys.name("wanted"), {event: 1, "junk": 2})

    Sweeper(ledger).sweep()

    assert ledger.list_redeliveries() == []
    assert [claim.unit for claim in ledger.take([], 5)] == [event]
    assert b"the provider delivered it again" in client.lindex(ledger.keys.name("audit"), 0)
