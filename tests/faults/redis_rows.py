"""Faults of Redis, of its disk, its clock, and of the way to it."""

import random
import time

import httpx2

from receiver.contract.connection import connect
from tests.support.kit import free_port, wait_for

from .row import Scene
from .world import Redis, Sentinel, faked, status, stopped


def killed(scene: Scene) -> None:
    """SIGKILL under load, and a start from its append-only file."""
    here = scene.here
    base, _ = here.receiver()
    worker = here.worker()
    wait_for(lambda: here.redis.client.scard("{events}:rq:workers"))
    sending = scene.sending(base, count=3000, seconds=0.01)
    time.sleep(0.4)
    with stopped(worker.pid):  # so that events wait in Redis when it dies
        time.sleep(0.3)
        here.redis.kill()
    scene.insist(sending.is_alive(), "it was over before the fault was")
    time.sleep(1)
    here.redis.start()


def away(scene: Scene) -> None:
    """Nobody there for a minute: only 503, then everything."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    wait_for(lambda: here.redis.client.scard("{events}:rq:workers"))
    scene.sending(base)
    time.sleep(0.5)
    here.redis.kill()
    time.sleep(50)  # a provider gives up after a minute
    here.redis.start()


def hanging(scene: Scene) -> None:
    """SIGSTOP for 30 s: every answer within 2 s, and runs that were done are not repeated."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    scene.sending(base, at_once=16)
    time.sleep(0.5)
    with here.redis.paused():
        time.sleep(30)


def silent_for_a_while(scene: Scene) -> None:
    """CLIENT PAUSE for 3 s, again and again."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    scene.sending(base, at_once=16)
    for _ in range(3):
        time.sleep(0.3)
        here.redis.client.client_pause(3000)
        time.sleep(3.5)


def not_durable(scene: Scene) -> None:
    """Started without its append-only file, or with eviction: no balancer may send us anything before that is mended."""
    here = scene.here
    client = here.redis.client
    client.config_set("appendonly", "no")
    base = unready(scene)
    scene.insist(status(base) == 503, "ready without an append-only file")
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.config_set("appendonly", "yes")
    time.sleep(2.5)
    scene.insist(status(base) == 503, "ready with eviction")
    client.config_set("maxmemory-policy", "noeviction")
    wait_for(lambda: status(base) == 200)
    here.worker()
    scene.sending(base)


def unready(scene: Scene) -> str:
    """The URL of a receiver that answers, ready or not."""
    port = free_port()
    scene.here.start("workers.cli", "serve", PORT=str(port))
    base = f"http://127.0.0.1:{port}"
    wait_for(lambda: status(base))
    time.sleep(2)
    return base


def full(scene: Scene) -> None:
    """maxmemory reached during accepts and ends: 503, what runs ends, and later everything else."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    scene.sending(base, seconds=0.2)
    time.sleep(0.6)
    here.redis.client.config_set("maxmemory", here.redis.client.info("memory")["used_memory"] - 1)
    time.sleep(4)
    here.redis.client.config_set("maxmemory", 0)


def disk_full(scene: Scene) -> None:
    """No room for the append-only file: with `always` Redis ends rather than confirm; then there is room again."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    scene.sending(base)
    time.sleep(0.4)
    here.redis.fill_disk(20_000)
    assert here.redis.process
    here.redis.process.wait(20)
    time.sleep(1)
    here.redis.start()


def disk_full_everysec(scene: Scene) -> None:
    """With `everysec` Redis refuses what comes after; killed in that state it may have lost what it confirmed before."""
    here = scene.here
    scene.may_lose = True
    base, _ = here.receiver()
    scene.sending(base)
    time.sleep(0.4)
    here.redis.fill_disk(20_000)
    wait_for(lambda: scene.sent.refused > 50)
    wait_for(lambda: "cannot write to its disk" in httpx2.get(f"{base}/healthz").text)
    scene.insist(status(base) == 200, "a balancer sends nothing any more, so that senders get no 503 of ours")
    here.redis.kill()
    here.redis.start()
    here.worker()


def reply_swallowed(scene: Scene) -> None:
    """Redis did it, and nobody heard: a doubt, a 503, and a redelivery that is known."""
    here = scene.here
    base, _ = here.receiver(**here.through_proxy)
    here.worker()
    scene.sending(base)
    for _ in range(10):
        time.sleep(0.15)
        here.proxy.swallow = 1


def claims_swallowed(scene: Scene) -> None:
    """Replies to a worker are lost: what it popped or claimed without knowing comes back, at no cost."""
    here = scene.here
    base, _ = here.receiver()
    here.worker(**here.through_proxy)
    here.worker()
    scene.sending(base)
    for _ in range(10):
        time.sleep(0.15)
        here.proxy.swallow = 1


def connections_cut(scene: Scene) -> None:
    """Every connection of both roles: reset, cut before a request, cut after a reply. None costs an attempt."""
    here = scene.here
    base, _ = here.receiver(**here.through_proxy)
    here.worker(**here.through_proxy)
    scene.sending(base, count=900)
    for _ in range(8):
        time.sleep(0.2)
        here.proxy.reset()
        time.sleep(0.1)
        here.proxy.cut_before = 1
        time.sleep(0.1)
        here.proxy.cut_after = 1


def slow(scene: Scene) -> None:
    """200 ms before each reply, and 20 kB a second."""
    here = scene.here
    base, _ = here.receiver(**here.through_proxy)
    here.worker(**here.through_proxy)
    here.proxy.delay = 0.2
    here.proxy.throttle = 20_000
    scene.sending(base)
    scene.wait()
    here.proxy.delay, here.proxy.throttle = 0.0, 0


def failover(scene: Scene) -> None:
    """The primary dies while its replica lags; the replica is promoted. What was answered 202 is there, if WAIT is on."""
    here = scene.here
    options = {"replicaof": f"127.0.0.1 {here.redis.port}", "appendfsync": "always"}
    replica = here.add(Redis(here.folder / "replica", **options))
    wait_for(lambda: replica.client.info("replication")["master_link_status"] == "up")
    base, _ = here.receiver(**here.through_proxy)
    scene.sending(base, count=200, at_once=8)
    scene.wait()
    with replica.paused():
        here.redis.client.execute_command("CLIENT", "KILL", "TYPE", "replica")  # else its socket holds what it missed
        scene.sending(base, count=400, at_once=8)
        time.sleep(1)
        here.redis.kill()
    replica.client.replicaof("NO", "ONE")
    here.add(Redis(here.folder / "next", replicaof=f"127.0.0.1 {replica.port}"))
    here.proxy.target, here.ledger.client = replica.socket, replica.client
    here.worker(**here.through_proxy)


def sentinels_fail_over(scene: Scene) -> None:
    """Three Sentinels, a primary and two replicas: the primary dies, and everybody finds the next one by themselves."""
    here = scene.here
    follows = {"replicaof": f"127.0.0.1 {here.redis.port}", "appendfsync": "always"}
    for number in range(2):
        here.add(Redis(here.folder / f"replica{number}", **follows))
    watching = [here.add(Sentinel(here.folder / f"sentinel{number}", here.redis.port)) for number in range(3)]
    wait_for(lambda: all(one.ready() for one in watching))
    url = f"sentinel://{','.join(f'127.0.0.1:{one.port}' for one in watching)}/main"
    here.ledger.client = connect(url, here.ledger.keys.tag)
    base, _ = here.receiver(REDIS_URL=url)
    here.worker(REDIS_URL=url)
    scene.sending(base, at_once=8)
    time.sleep(0.7)
    scene.kills = 1  # nobody waits for replicas when a run ends: what ended just now may run again
    here.redis.kill()


def deleted_list(scene: Scene) -> None:
    """A queue that somebody deleted, and four workers that sweep: each entry comes back once."""
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base)
    scene.wait()
    here.redis.client.delete(here.ledger.keys.jobs)
    for _ in range(4):
        here.worker()
    scene.settle = 40


def spoilt_jobs(scene: Scene) -> None:
    """RQ's job hashes deleted, malformed, of another type, and entries that no one can read: no worker stops."""
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base)
    scene.wait()
    chance, client = random.Random(31), here.redis.client
    for job in client.lrange(here.ledger.keys.jobs, 0, -1):
        spoil, key = chance.randrange(4), b"{events}:rq:job:" + job  # where RQ would look for it
        if spoil == 1:
            client.hset(key, mapping={"data": b"\x80\x04junk", "status": "nonsense", "created_at": "never"})
        if spoil == 2:
            client.set(key, "junk")
    client.lpush(here.ledger.keys.jobs, b"\xff\xfe", "", "no-job", "1-evt_" + "0" * 26)
    client.rpush(here.ledger.keys.intermediate, b"\xff\xfe")
    worker = here.worker()
    scene.wait()
    here.settled()
    scene.insist(worker.poll() is None, "the worker ended")


def clock_jumps(scene: Scene) -> None:
    """Redis' clock jumps an hour ahead, then back, under runs; receiver and worker are ten minutes apart."""
    here = scene.here
    base, _ = here.receiver(**faked("-10m"))
    worker = here.worker()
    time.sleep(9)  # from now on leases may end
    thread = scene.sending(base, seconds=0.5, count=400)
    for moment, hours in (("+1h", 1), ("-1h", -1), ("+0", 0)):
        time.sleep(3)
        here.clock(moment)
        time.sleep(0.5)  # a server may tell the time of its last turn
        off = int(here.redis.client.time()[0]) - time.time()
        scene.insist(abs(off - hours * 3600) < 5, "the clock did not jump: apt-get install libfaketime")
    thread.join()
    scene.insist(worker.poll() is None, "the worker ended")
