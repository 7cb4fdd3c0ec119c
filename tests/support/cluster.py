"""A cluster of real servers on 127.0.0.1: its slots can be moved, and its nodes killed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from workers.cli.embedded import binary, read_major_version

from .kit import answers, free_port, wait_for

CLUSTER = bool(os.environ.get("CLUSTER"))  # whether the tests run on a cluster
SLOTS = 16384
BATCH_KEYS = 10  # that move together
NODE_TIMEOUT_MS = 1000  # after which a silent node is taken for dead


@cache
def can_move_at_once() -> bool:
    """Whether this machine's server moves a slot in one moment: Valkey since 9. Redis 8.4 has another command for it."""
    said = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True).stdout
    return said.startswith("Valkey") and read_major_version(binary()) >= 9


class Node:
    """One server in cluster mode. It keeps its place in the cluster over a restart."""

    def __init__(self, folder: Path, program: str, fsync: str) -> None:
        folder.mkdir(parents=True)
        self.port, self.bus_port = free_port(), free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        self._command = [
            program, "--port", str(self.port), "--cluster-port", str(self.bus_port), "--bind", "127.0.0.1",
            "--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--dir", str(folder),
            "--logfile", str(folder / "log"), "--appendonly", "yes", "--appendfsync", fsync, "--save", "",
            "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
            "--maxmemory-policy", "noeviction",
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(self._command)
        wait_for(lambda: answers(self.client))
        self.id = str(self.ask("MYID"))

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def wait(self) -> None:
        assert self.process
        self.process.wait(10)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.wait()

    def ask(self, *command: object) -> object:
        answer = self.client.execute_command("CLUSTER", *command)
        return answer.decode() if isinstance(answer, bytes) else answer


class Cluster:
    """Primaries, each with this number of replicas, that share the slots evenly; to a test like `kit.Server`."""

    def __init__(self, folder: Path, primaries: int = 3, replicas: int = 0, fsync: str = "everysec") -> None:
        self.folder = folder
        self._program = binary()
        self._fsync = fsync
        self._primaries = primaries
        self._replicas = replicas
        self.primaries: list[Node] = []
        self.replicas: list[Node] = []

    @property
    def nodes(self) -> Sequence[Node]:
        return [*self.primaries, *self.replicas]

    @property
    def url(self) -> str:
        return f"redis://{','.join(node.address for node in self.primaries)}/0"

    def start(self) -> None:
        """Builds it; started once more after `stop`, its nodes find each other again."""
        if self.primaries:
            for node in self.nodes:
                node.start()
        else:
            self._build()
        wait_for(self.is_whole)

    def _build(self) -> None:
        self.primaries = [self.add(f"primary{number}") for number in range(self._primaries)]
        for number, node in enumerate(self.primaries):
            share = SLOTS // self._primaries
            last = SLOTS - 1 if node is self.primaries[-1] else (number + 1) * share - 1
            node.ask("ADDSLOTSRANGE", number * share, last)
        self.replicas = [self.add(f"replica{number}") for number in range(self._primaries * self._replicas)]
        for node in self.nodes[1:]:
            node.ask("MEET", "127.0.0.1", self.primaries[0].port, self.primaries[0].bus_port)
        wait_for(self.is_whole)
        for number, node in enumerate(self.replicas):
            node.ask("REPLICATE", self.primaries[number % self._primaries].id)
        for node in self.replicas:
            wait_for(lambda node=node: node.client.info("replication")["master_link_status"] == "up")  # type: ignore[misc]

    def add(self, name: str) -> Node:
        node = Node(self.folder / name, self._program, self._fsync)
        node.start()
        return node

    def is_whole(self) -> bool:
        """Whether every node knows all others, and that all slots have an owner."""
        states = [str(node.ask("INFO")) if answers(node.client) else "" for node in self.nodes]
        known = f"cluster_known_nodes:{len(self.nodes)}"
        return all("cluster_state:ok" in state and known in state for state in states)

    def find_owner(self, tag: str) -> Node:
        """The node that owns the tag's slot, as that node says itself."""
        return next(self.list_owners(tag))

    def list_owners(self, tag: str) -> Iterator[Node]:
        """All that say so: a node that was away does not know better."""
        slot = key_slot(tag.encode())
        return (node for node in self.nodes if answers(node.client) and owns(node, slot))

    def choose_other(self, tag: str) -> Node:
        """A primary that does not own the tag's slot."""
        owner = self.find_owner(tag)
        return next(node for node in self.primaries if node is not owner and answers(node.client))

    def migrate_at_once(self, tag: str, target: Node) -> None:
        """Moves the tag's slot as Valkey 9 does: its keys change hands in one moment."""
        slot = key_slot(tag.encode())
        source = self.find_owner(tag)
        source.ask("MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        wait_for(lambda: owns(target, slot))

    def begin_move(self, tag: str, target: Node) -> "SlotMove":
        """The tag's slot begins to move key by key."""
        return SlotMove(key_slot(tag.encode()), self.find_owner(tag), target, self.primaries)

    def migrate_by_keys(self, tag: str, target: Node, pause: float = 0.0) -> int:
        """Moves the tag's slot key by key; how many keys went. pause: seconds between two batches."""
        move, total = self.begin_move(tag, target), 0
        while moved := move.move_batch():
            total += moved
            time.sleep(pause)
        move.finish()
        return total

    def kill(self) -> None:
        self.stop()

    def stop(self, number: int = signal.SIGKILL) -> None:
        for node in self.nodes:
            node.client.close()
            node.signal(number)
            node.wait()

    def pause(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGSTOP)

    def resume(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)


class SlotMove:
    """A slot that moves key by key, as in Redis before 8.4 and Valkey before 9: by SETSLOT and MIGRATE."""

    def __init__(self, slot: int, source: Node, target: Node, nodes: Sequence[Node]) -> None:
        self.slot, self.source, self.target, self.nodes = slot, source, target, nodes
        target.ask("SETSLOT", slot, "IMPORTING", source.id)
        source.ask("SETSLOT", slot, "MIGRATING", target.id)
        self._left: list[bytes] = []

    def move_batch(self) -> int:
        """How many keys went, in the worst order: records, then the indexes that name them, then what scripts declare."""
        if not self._left:
            everything = self.source.client.execute_command("CLUSTER", "GETKEYSINSLOT", self.slot, self.count_left())
            self._left = sorted(everything, key=lambda key: (key.endswith(b":anchor"), key.count(b":") < 3))
        keys, self._left = self._left[:BATCH_KEYS], self._left[BATCH_KEYS:]
        if keys:
            command = ("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
            self.source.client.execute_command(*command)
        return len(keys)

    def count_left(self) -> int:
        return int(self.source.client.execute_command("CLUSTER", "COUNTKEYSINSLOT", self.slot))

    def finish(self) -> None:
        """The target owns the slot from now on."""
        while self.move_batch():
            pass
        for node in (self.target, self.source, *self.nodes):
            node.ask("SETSLOT", self.slot, "NODE", self.target.id)


def owns(node: Node, slot: int) -> bool:
    """Whether the node says that the slot is its own."""
    for line in str(node.ask("NODES")).splitlines():
        fields = line.split()
        if "myself" in fields[2] and "master" in fields[2]:
            ranges = [part.partition("-") for part in fields[8:] if not part.startswith("[")]
            return any(int(first) <= slot <= int(last or first) for first, _, last in ranges)
    return False
