"""Who holds a ledger's slot: in cluster mode one node, which may change.

A cluster-mode server splits the key space into slots, each owned by one primary. A ledger lives in one slot, so all we
need of a cluster is what we need of Sentinels: who is the primary now? A new connection asks any node it knows; one
whose server says MOVED, READONLY or CLUSTERDOWN is dropped, and the next one asks again. Where there is no cluster, the
server of the URL is the owner.
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, MovedError, ReadOnlyError

Address = tuple[str, int]
MAX_NODES_TRIED = 3  # by one connection, each for its time-out
ELSEWHERE = (MovedError, ReadOnlyError, ClusterDownError)  # the server did nothing: it does not hold the slot any more
NO_ADDRESS = (None, "", b"", "?", b"?")  # the host that a node names if it does not know its own


class SlotMoved(redis.ConnectionError):
    """The server does not hold the ledger any more. Nothing was executed, so the call may be made once more."""


class SlotOwner:
    """Where to connect for a hash tag's keys. Shared by the connections of a client, and by nothing else.

    generation: changes when a server said that it is not the owner; connections of an earlier one are of no use.
    """

    def __init__(self, nodes: Sequence[Address], tag: str) -> None:
        self.slot = key_slot(tag.encode())
        self.is_cluster = False
        self.generation = 0
        self._given = list(nodes)
        self._nodes = list(nodes)  # the most promising first

    def copy(self, tag: str) -> "SlotOwner":
        """For another client, of another tag perhaps."""
        return SlotOwner(self._nodes, tag)

    @property
    def address(self) -> Address:
        """The owner, as far as is known."""
        return self._nodes[0]

    def list_nodes(self) -> list[Address]:
        """Nodes to try, the most promising first."""
        return self._nodes[:MAX_NODES_TRIED]

    def learn(self, asked: Address, slots: Any, own_id: Any) -> Address:
        """The owner, as a node's answers to CLUSTER SLOTS and CLUSTER MYID name it. asked: the address of that node.

        A node may announce an address that cannot be reached from here; for the node itself `asked` counts.
        Raises ConnectionError where no node owns the slot.
        """
        self.is_cluster = True
        owner, known = None, []
        for first, last, *nodes in slots:
            addresses = [asked if node[2] == own_id else read_address(node, asked) for node in nodes]
            known += addresses
            if first <= self.slot <= last:
                owner = addresses[0]
        if owner is None:
            raise redis.ConnectionError(f"no node of the cluster owns slot {self.slot}")
        self._nodes = list(dict.fromkeys([owner, *known, *self._given]))
        return owner

    def leave(self, asked: Address, error: redis.ResponseError) -> SlotMoved:
        """Notes that this node is not the owner, and returns the error to raise."""
        self.generation += 1
        if isinstance(error, MovedError):
            self._prefer((asked[0] if error.host in NO_ADDRESS else error.host, error.port))
            return SlotMoved(f"MOVED {error}")
        self.distrust(asked)
        return SlotMoved(f"{'READONLY' if isinstance(error, ReadOnlyError) else 'CLUSTERDOWN'} {error}")

    def distrust(self, node: Address) -> None:
        """The node is tried last from now on."""
        if node in self._nodes:
            self._nodes.remove(node)
            self._nodes.append(node)

    def _prefer(self, node: Address) -> None:
        self._nodes = [node, *(other for other in self._nodes if other != node)]


def read_address(node: Sequence[Any], asked: Address) -> Address:
    """A node of CLUSTER SLOTS: host, port, id. One without a host is reached like the one that was asked."""
    host = asked[0] if node[0] in NO_ADDRESS else node[0]
    return (host.decode() if isinstance(host, bytes) else str(host)), int(node[1])


def split_hosts(url: str) -> tuple[str, list[Address]]:
    """redis://a:1,b:2/0 as the same URL with the first host alone, and all of them. Raises ValueError."""
    parts = urlsplit(url)
    login, at, named = parts.netloc.rpartition("@")
    hosts = named or "localhost"
    first = parts._replace(netloc=f"{login}{at}{hosts.partition(',')[0]}").geturl()
    return first, list(parse_hosts(hosts, 6379))


def parse_hosts(hosts: str, default_port: int) -> Iterator[Address]:
    """host:port,host:port as pairs. Raises ValueError."""
    for host in hosts.split(","):
        name, _, port = host.rpartition(":") if ":" in host.rpartition("]")[2] else (host, "", str(default_port))
        if not name or not port.isdecimal():
            raise ValueError(f"has no host and port at {host!r}")
        yield unquote(name.strip("[]")), int(port)
