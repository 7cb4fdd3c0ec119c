"""A cluster: whom a connection asks, and that it follows the ledger's slot."""

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError, TryAgainError

from receiver import redis_connections
from receiver.contract.connection import connect, connect_again, describe_mode, is_cluster, name_mode
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.slot import SlotMoved, SlotOwner, parse_hosts, split_hosts
from tests.support.cluster import Cluster, can_move_at_once
from tests.support.kit import Server, accept, free_port
from workers.ledger.transitions import Ledger
from workers.zyra.budget import Budget
from workers.zyra.routes import Limit

pytestmark = pytest.mark.xdist_group("cluster")  # one cluster for all of them
A, B, C = ("a", 1), ("b", 2), ("c", 3)
VIEW = [  # CLUSTER SLOTS of three nodes, the last with a replica
    [0, 5000, [b"a", 1, b"ida"]],
    [5001, 10000, [b"b", 2, b"idb"]],
    [10001, 16383, [b"c", 3, b"idc"], [b"d", 4, b"idd"]],
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as folder:
        found = Cluster(Path(folder))
        found.start()
        yield found
        found.stop()


@pytest.fixture
def here(cluster: Cluster, keys: Keys) -> Iterator[Ledger]:
    """A ledger in the cluster."""
    found = Ledger(connect(cluster.url, keys.tag), keys)
    yield found
    found.client.close()


@pytest.mark.parametrize(
    ("url", "first", "nodes"),
    [
        ("redis://a:1,b:2/3", "redis://a:1/3", [A, B]),
        ("rediss://u:p%40@a:1,b:2?db=1", "rediss://u:p%40@a:1?db=1", [A, B]),
        ("redis://a", "redis://a", [("a", 6379)]),
        ("redis://[::1]:5,[::2]/0", "redis://[::1]:5/0", [("::1", 5), ("::2", 6379)]),
        ("redis://", "redis://localhost", [("localhost", 6379)]),
    ],
)
def test_a_url_may_name_several_nodes(url: str, first: str, nodes: object) -> None:
    assert split_hosts(url) == (first, nodes)


@pytest.mark.parametrize("hosts", ["a:x", "a:1,", ",a:1", "a:1,:2"])
def test_what_is_no_host_is_refused(hosts: str) -> None:
    with pytest.raises(ValueError, match="has no host and port"):
        list(parse_hosts(hosts, 1))


def test_a_node_tells_the_owner_and_the_others() -> None:
    owner = SlotOwner([A], "{events}")  # slot 9102

    assert owner.learn(A, VIEW, b"ida") == B
    assert owner.is_cluster
    assert owner.address == B
    assert owner.list_nodes() == [B, A, C]  # and no more at once: each costs its time-out


def test_a_node_that_knows_itself_by_another_address_is_reached_as_before() -> None:
    """Behind a port mapping the address that a node announces leads nowhere."""
    outside = ("outside", 9)
    owner = SlotOwner([outside], "{events}")

    assert owner.learn(outside, VIEW, b"idb") == outside


@pytest.mark.parametrize("host", [None, b"", b"?"])
def test_a_node_without_a_host_is_reached_like_the_one_that_was_asked(host: object) -> None:
    owner = SlotOwner([A], "{events}")

    assert owner.learn(A, [[0, 16383, [host, 7, b"other"]]], b"ida") == ("a", 7)


def test_a_slot_without_an_owner_is_an_error() -> None:
    with pytest.raises(redis.ConnectionError, match="no node of the cluster owns slot 9102"):
        SlotOwner([A], "{events}").learn(A, VIEW[:1], b"ida")


@pytest.mark.parametrize(
    ("error", "text", "next_node"),
    [
        (MovedError("9102 c:3"), "MOVED 9102 c:3", C),
        (MovedError("9102 :7"), "MOVED 9102 :7", ("b", 7)),
        (ReadOnlyError("You can't write"), "READONLY You can't write", A),
        (ClusterDownError("The cluster is down"), "CLUSTERDOWN The cluster is down", A),
    ],
)
def test_a_server_that_is_not_the_owner_is_left(error: redis.ResponseError, text: str, next_node: object) -> None:
    owner = SlotOwner([B, A], "{events}")

    assert str(owner.leave(B, error)) == text
    assert owner.address == next_node
    assert owner.generation == 1


def test_nodes_that_are_gone_are_forgotten() -> None:
    owner = SlotOwner([A], "{events}")
    for port in range(10, 500):
        owner.learn(A, [[0, 16383, [b"x", port, b"id"]]], b"ida")

    assert owner.copy("{api}").list_nodes() == [("x", 499), A]


def test_the_ledger_is_found_from_any_node(cluster: Cluster, keys: Keys, seal: Seal) -> None:
    for node in cluster.nodes:
        ledger = Ledger(connect(f"redis://{node.address}/0", keys.tag), keys)
        accept(ledger, seal)

        assert describe_mode(ledger.client).startswith("cluster mode, slot ")
        assert describe_mode(ledger.client).endswith(cluster.find_owner(keys.tag).address)
        ledger.client.close()


def test_nodes_that_are_away_are_passed_over(cluster: Cluster, keys: Keys) -> None:
    client = connect(f"redis://127.0.0.1:1,127.0.0.1:2,{cluster.nodes[0].address}/0", keys.tag)

    assert client.ping()
    client.close()


def test_a_client_of_anybody_finds_the_owner_once_it_is_ours(cluster: Cluster, keys: Keys) -> None:
    plain = redis.Redis.from_url(f"redis://{cluster.choose_other(keys.tag).address}/0")
    ours = connect_again(plain, keys.tag)

    assert ours.set(keys.name("x"), "1")
    ours.close()
    plain.close()


def move_at_once(cluster: Cluster, tag: str) -> None:
    cluster.migrate_at_once(tag, cluster.choose_other(tag))


def move_by_keys(cluster: Cluster, tag: str) -> None:
    cluster.migrate_by_keys(tag, cluster.choose_other(tag))


AT_ONCE = pytest.mark.skipif(not can_move_at_once(), reason="this server moves slots key by key")
MOVES = [pytest.param(move_by_keys, id="by keys"), pytest.param(move_at_once, id="at once", marks=AT_ONCE)]


@pytest.mark.parametrize("move", MOVES)
def test_a_blocking_client_follows_a_slot(
    cluster: Cluster, here: Ledger, seal: Seal, move: Callable[[Cluster, str], None]
) -> None:
    first = accept(here, seal)
    move(cluster, here.keys.tag)

    accept(here, seal)
    assert [claim.event for claim in here.take([], 1)] == [first]


@pytest.mark.parametrize("move", MOVES)
def test_a_client_that_does_not_block_follows_a_slot(
    cluster: Cluster, keys: Keys, move: Callable[[Cluster, str], None]
) -> None:
    async def use() -> None:
        client = redis_connections.connect(cluster.url, keys.tag)
        several = [client.set(keys.name(str(number)), number) for number in range(4)]
        await asyncio.gather(*several)  # over connections of their own
        await asyncio.to_thread(move, cluster, keys.tag)
        assert await asyncio.gather(*[client.get(keys.name(str(number))) for number in range(4)]) == [
            b"0",
            b"1",
            b"2",
            b"3",
        ]
        assert is_cluster(client)
        await client.aclose()

    asyncio.run(use())


def test_a_client_that_does_not_block_passes_over_nodes_that_are_away(cluster: Cluster, keys: Keys) -> None:
    async def use(hosts: str) -> bool:
        client = redis_connections.connect(f"redis://{hosts}/0", keys.tag)
        try:
            return bool(await client.ping())
        finally:
            await client.aclose()

    assert asyncio.run(use(f"127.0.0.1:1,{cluster.nodes[2].address}"))
    with pytest.raises(redis.ConnectionError):
        asyncio.run(use("127.0.0.1:1,127.0.0.1:2"))


def test_the_budget_of_the_api_is_at_the_owner_of_its_own_slot(here: Ledger) -> None:
    budget = Budget(here.of_api)

    assert budget.take("k", Limit.READ, "a", "t").seconds == 0
    assert here.of_api.exists("zr::{api}:k:read", "zr::{api}::anchor") == 2
    for name in here.of_api.scan_iter("zr::{api}:k:*"):
        here.of_api.delete(name)
    here.of_api.close()


TRANSITIONS = sorted(
    file.name
    for file in files("workers.ledger.scripts").iterdir()
    if file.name.endswith(".lua") and file.name not in ("claim.lua", "close.lua")  # parts of others
)


@pytest.mark.parametrize("script", [*TRANSITIONS, "accept.lua", "budget.lua"])
def test_no_script_begins_on_a_part_of_a_slot(cluster: Cluster, here: Ledger, seal: Seal, script: str) -> None:
    """Whichever keys are still there: it is refused before its first line, which reads its arguments."""
    accept(here, seal)
    tag = "{api}" if script == "budget.lua" else here.keys.tag
    if script == "budget.lua":
        Budget(here.of_api).take("k", Limit.READ, "a", "t")

    def call() -> Any:
        if script == "budget.lua":
            return Budget(here.of_api).take("k", Limit.READ, "a", "t")
        return accept(here, seal) if script == "accept.lua" else here.call(script)

    move = cluster.begin_move(tag, cluster.choose_other(tag))
    all_keys = move.count_left()
    try:
        for left in (all_keys, 1, 0):
            while move.count_left() > left:
                move.move_batch()
            with pytest.raises((TryAgainError, AskError)):
                call()
    finally:
        move.finish()
        here.of_api.close()


def test_a_connection_to_a_server_that_became_a_replica_is_dropped(own_server: Server, keys: Keys) -> None:
    """Behind one DNS name, as managed servers have it, the next connection finds the new primary."""
    admin = redis.Redis.from_url(own_server.url)
    port = free_port()
    admin.config_set("port", port)
    client = connect(f"redis://127.0.0.1:{port}", keys.tag)
    before = client.client_id()
    admin.replicaof("127.0.0.1", "1")
    with pytest.raises(SlotMoved, match="READONLY"):
        client.set(keys.name("x"), "1")
    admin.replicaof("NO", "ONE")
    client.set(keys.name("x"), "1")
    assert client.client_id() != before
    client.close()
    admin.close()


def test_and_so_is_one_that_does_not_block(own_server: Server, keys: Keys) -> None:
    admin = redis.Redis.from_url(own_server.url)
    port = free_port()
    admin.config_set("port", port)

    async def use() -> None:
        client = redis_connections.connect(f"redis://127.0.0.1:{port}", keys.tag)
        before = await client.client_id()
        admin.replicaof("127.0.0.1", "1")
        with pytest.raises(SlotMoved, match="READONLY"):
            await client.set(keys.name("x"), "1")
        admin.replicaof("NO", "ONE")
        await client.set(keys.name("x"), "1")
        assert await client.client_id() != before
        assert name_mode(client) == "single"
        await client.aclose()

    asyncio.run(use())
    admin.close()


def test_a_single_server_is_one(server: Server, keys: Keys, client: redis.Redis) -> None:
    if not is_cluster(client):
        client.ping()
        assert (name_mode(client), describe_mode(client)) == ("single", "single server")


def test_a_sentinel_service_is_one() -> None:
    assert name_mode(connect("sentinel://127.0.0.1:1/main", "{t}")) == "sentinel"
    assert name_mode(redis_connections.connect("sentinel://127.0.0.1:1/main", "{t}")) == "sentinel"


def test_tls_is_followed_too() -> None:
    for one in (connect("rediss://a:1,b:2/0", "{t}"), redis_connections.connect("rediss://a:1/0", "{t}")):
        assert one.connection_pool.connection_class.__name__ == "OwnerTlsConnection"
        assert issubclass(one.connection_pool.connection_class, redis.SSLConnection | redis.asyncio.SSLConnection)
