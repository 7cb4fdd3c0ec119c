"""Faults of a cluster: its nodes killed, and the ledger's slot moved from one to another, while deliveries arrive."""

import signal
import threading
import time
from collections.abc import Callable

from receiver.contract.connection import connect
from tests.support.cluster import Cluster, Node
from tests.support.kit import wait_for

from . import worker_rows
from .row import Scene

MOVES = 3  # of the slot while a provider sends
PAUSE_SECONDS = 0.004  # between two parts of a slot that moves key by key: some seconds for all


def build(scene: Scene, replicas: int = 0) -> Cluster:
    """A cluster in place of the world's server."""
    here = scene.here
    cluster = here.add(Cluster(here.folder / "cluster", replicas=replicas, fsync="always"))
    here.env["REDIS_URL"] = cluster.url
    here.ledger.client = connect(cluster.url, here.ledger.keys.tag)
    return cluster


def worker_killed(scene: Scene) -> None:
    """A worker whole, in the midst of runs; another one takes over."""
    build(scene)
    worker_rows.killed_in_midst(scene)


def receiver_killed(scene: Scene) -> None:
    """SIGKILL under load, three times."""
    build(scene)
    here = scene.here
    base, process = here.receiver()
    here.worker()
    sending = scene.sending(base, count=3000, at_once=16, seconds=0.01)
    for _ in range(3):
        time.sleep(0.5)
        here.kill(process)
        scene.insist(sending.is_alive(), "it was over before the fault was")
        process = here.receiver_on(int(base.rpartition(":")[2]))


def primary_killed(scene: Scene) -> None:
    """The slot's owner dies, and one of its replicas is elected: everybody finds it by themselves."""
    cluster = build(scene, replicas=2)  # one must confirm when the other is the primary
    owner = fail_over(scene, cluster, signal.SIGKILL)
    owner.wait()


def primary_paused(scene: Scene) -> None:
    """The slot's owner is silent until its replica is elected, and comes back as if nothing had been."""
    cluster = build(scene, replicas=1)
    owner = fail_over(scene, cluster, signal.SIGSTOP)
    wait_for(lambda: list(cluster.list_owners(scene.here.ledger.keys.tag)))
    time.sleep(1)
    owner.signal(signal.SIGCONT)


def fail_over(scene: Scene, cluster: Cluster, number: int) -> Node:
    """Sends, and gives this signal to the slot's owner under load; that node."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    wait_for_workers(scene, 1)
    sending = scene.sending(base, at_once=8, count=1500)
    time.sleep(0.7)
    scene.insist(sending.is_alive(), "it was over before the fault was")
    scene.kills = 1  # nobody waits for replicas when a run ends: what ended just now may run again
    owner = cluster.find_owner(here.ledger.keys.tag)
    owner.signal(number)
    return owner


def slot_moved_at_once(scene: Scene) -> None:
    """Valkey 9 and Redis 8.4: the keys change hands in one moment."""
    move_often(scene, Cluster.migrate_at_once)


def slot_moved_by_keys(scene: Scene) -> None:
    """All other servers: the keys go one after the other, and no script may run on a part of them."""

    def move(cluster: Cluster, tag: str, target: Node) -> None:
        moved = cluster.migrate_by_keys(tag, target, PAUSE_SECONDS)
        scene.insist(moved > 100, f"only {moved} keys moved")

    move_often(scene, move)
    scene.insist(scene.sent.refused > 0, "no delivery was refused while the slot moved")


def move_often(scene: Scene, move: Callable[[Cluster, str, Node], None]) -> None:
    """Moves the ledger's slot from node to node, under load."""
    cluster = build(scene)
    tag = scene.here.ledger.keys.tag
    sending = start_all(scene)
    for _ in range(MOVES):
        time.sleep(0.5)
        scene.insist(sending.is_alive(), "it was over before the slot moved")
        move(cluster, tag, cluster.choose_other(tag))


def start_all(scene: Scene) -> threading.Thread:
    """A receiver, two workers, and a provider that sends."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    here.worker()
    wait_for_workers(scene, 2)
    return scene.sending(base, at_once=16, count=3000, seconds=0.01)


def wait_for_workers(scene: Scene, count: int) -> None:
    """Until so many are registered: one that finds no Redis at its start, or half a slot, ends."""
    ledger = scene.here.ledger
    wait_for(lambda: ledger.client.scard(f"{ledger.keys.rq_prefix}:workers") == count)
