"""Faults of workers, and of handlers."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.support.kit import children_of, wait_for
from workers.ledger import query

from .row import COUNT, Scene
from .world import stopped

BAD = [
    "hangs", "swallows", "leaks", "descriptors", "forks", "leaves-a-child", "exits", "base", "when", "task", "closes",
    "stops", "keeps-the-lock",
]  # fmt: skip
STALE = 12  # runs whose first attempt says too late that it failed
CONTACT = 9.0  # seconds: a worker that is younger lets no lease end


def killed_in_midst(scene: Scene) -> None:
    """A worker whole, in the midst of runs: they are repeated by another one, within 30 s."""
    first = in_midst(scene)
    for pid in [first.pid, *children_of(first.pid)]:
        os.kill(pid, signal.SIGKILL)
    first.wait()


def parent_killed(scene: Scene) -> None:
    """Only the parent: its processes must not outlive it, since nobody renews their leases."""
    first = in_midst(scene)
    children = children_of(first.pid)
    scene.here.kill(first)
    time.sleep(1)
    scene.insist(bool(children) and not any(alive(pid) for pid in children), "a process outlived its parent")


def in_midst(scene: Scene) -> subprocess.Popen[bytes]:
    """A worker in the midst of runs, which may cost what it has begun; another one is there to take over."""
    here = scene.here
    base, _ = here.receiver()
    first = here.worker()
    scene.sending(base, seconds=0.3, count=200)
    wait_for(lambda: here.log.stat().st_size > 3000)
    here.worker()
    scene.kills = 1
    return first


def alive(pid: int) -> bool:
    """Whether it still runs; a zombie, whom nobody has buried, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def killed_between_pop_and_start(scene: Scene) -> None:
    """SIGKILL while the reply with the popped jobs is on the way."""
    ended_between_pop_and_start(scene, signal.SIGKILL)


def terminated_between_pop_and_start(scene: Scene) -> None:
    """SIGTERM in the same window."""
    ended_between_pop_and_start(scene, signal.SIGTERM)


def ended_between_pop_and_start(scene: Scene, number: int) -> None:
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base, count=300)
    for _ in range(3):
        process = here.worker(**here.through_proxy)
        time.sleep(1.2)
        here.proxy.delay = 0.4
        time.sleep(0.6)
        process.send_signal(number)
        process.wait(40)
        here.proxy.delay = 0.0
    scene.kills = 3 if number == signal.SIGKILL else 0
    here.worker()


def paused(scene: Scene) -> None:
    """SIGSTOP for 20 s, then on: another worker took over, and what the first one then says does not count."""
    here = scene.here
    base, _ = here.receiver()
    first = here.worker()
    time.sleep(CONTACT)
    scene.sending(base, kind="fault.stale", count=STALE)
    scene.sending(base, seconds=0.3, count=100)
    wait_for(lambda: count(here.log, "start", "stale") == STALE)
    here.worker()
    scene.kills = 1
    with stopped(first.pid):
        time.sleep(20)
        wait_for(lambda: count(here.log, "end", "stale") == STALE)
    time.sleep(3)  # the first attempts of `stale` end now, and say that they failed: believed, they would start again
    wait_for(lambda: not here.ledger.client.zcard(here.ledger.keys.name("waiting")), 60)


def count(log: Path, word: str, name: str) -> int:
    """The notes that handlers of this name made."""
    notes = [line.split() for line in log.read_text().splitlines()]
    return sum((note[0], note[2]) == (word, name) for note in notes)


def fleet_away(scene: Scene) -> None:
    """No worker for five minutes: the backlog drains without one extra entry in the queue."""
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base)
    scene.wait()
    time.sleep(300)
    for _ in range(3):
        here.worker()
    here.settled()
    queued = int(here.ledger.client.get(here.ledger.keys.name("ordinal")) or 0)
    scene.insist(queued == COUNT, f"{queued} entries for {COUNT} events, whose runs begin as they are made")
    scene.sent.acked.update(dict.fromkeys(scene.sent.acked, time.time()))  # their delay is the fault itself


def poison(scene: Scene) -> None:
    """One event whose handler kills its process, among 49 innocents in flight: they end, it is quarantined."""
    here = scene.here
    base, _ = here.receiver()
    here.worker("--concurrency", "64")
    time.sleep(CONTACT)
    scene.sending(base, seconds=2.0, count=49, at_once=49)
    wait_for(lambda: scene.running() == 49)
    scene.sending(base, kind="fault.poison", count=1)
    scene.kills = 2  # 64 places
    scene.wait()
    here.settled()
    (event,) = query.search(here.ledger, query.Filter(type="fault.poison"))
    states = {run["handler"]: (run["state"], run["error"]) for run in event["runs"]}
    evidence = ("dead", "quarantined: its process died alone: signal 11")
    scene.insist(states == {"one": ("done", ""), "poison": evidence}, str(states))


def misbehaving(scene: Scene) -> None:
    """Every kind of bad handler at once, among innocents: they end."""
    here = scene.here
    base, _ = here.receiver()
    modules = {"WORKER_HANDLERS": "tests.faults.handlers,tests.plugins.bad", "WORKER_MEMORY": "700"}
    here.worker("--processes", "2", **modules)
    here.worker(**modules)
    time.sleep(CONTACT)
    scene.sending(base, seconds=0.5, count=300, at_once=8)
    for kind in BAD:
        scene.sending(base, kind=f"bad.{kind}", count=1)
    scene.kills, scene.loud = 12, True
    scene.wait()
    here.settled(120)
    found = {event["type"]: event["state"] for event in query.search(here.ledger, query.Filter(type="bad.*"))}
    scene.insist(len(found) == len(BAD) and set(found.values()) <= {"dead", "done"}, str(found))
    forget(scene, "bad.")


def forget(scene: Scene, kind: str) -> None:
    """These events are for handlers that note nothing."""
    for event in query.search(scene.here.ledger, query.Filter(type=f"{kind}*")):
        scene.sent.ids.discard(event["delivery_id"])
        scene.sent.acked.pop(event["delivery_id"], None)
        scene.sent.answers.discard(event["id"])


def blocked_loop(scene: Scene) -> None:
    """time.sleep(60) in one `async def` handler: no other run is repeated."""
    here = scene.here
    base, _ = here.receiver()
    here.worker()
    here.worker()
    scene.sending(base, kind="fault.sleepy", count=1, blocks=60.0)
    wait_for(lambda: here.log.stat().st_size > 0)
    scene.sending(base, kind="fault.three", count=60)
    scene.settle = 120
    scene.wait()
    here.settled(120)


def one_of_three_fails(scene: Scene) -> None:
    """Its neighbours run once."""
    base, _ = scene.here.receiver()
    scene.here.worker()
    scene.sending(base, kind="fault.three", count=200)


def handler_renamed(scene: Scene) -> None:
    """A deploy takes a handler away while 1,000 runs of it wait; they wait for it, until the next deploy."""
    here = scene.here
    base, _ = here.receiver()
    scene.sending(base, count=1000)
    old = here.worker("--concurrency", "1", WORKER_HANDLERS="tests.faults.limited")
    scene.wait()
    wait_for(lambda: not any(here.ledger.client.zcard(here.ledger.keys.name(n)) for n in ("pending", "dispatching")))
    terminate(old)
    scene.insist(here.ledger.client.zcard(here.ledger.keys.name("queued")) > 500, "too few were waiting")
    new = here.worker(WORKER_HANDLERS="tests.faults.renamed")
    wait_for(lambda: here.ledger.client.zcard(here.ledger.keys.name("waiting")) > 500)
    terminate(new)
    for run in here.ledger.client.zrange(here.ledger.keys.name("waiting"), 0, -1):
        here.ledger.client.zadd(here.ledger.keys.name("waiting"), {run: 1}, xx=True)  # else for up to a minute
    here.worker()


def terminate(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(40)
