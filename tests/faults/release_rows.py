"""Two releases on one ledger, each with a receiver and a worker: this one, and a made-up next one."""

import time

from tests.support.kit import free_port, wait_for

from .row import Scene
from .world import ready

NEXT = "2"  # the format that the next release writes
EVENTS = 500  # by each release's receiver


def side_by_side(scene: Scene) -> None:
    """The next release's worker comes, goes, and comes back for good: what it alone can read waits for it, and is told."""
    here = scene.here
    ours, _ = here.receiver()
    port = free_port()
    here.start("tests.faults.release", NEXT, "serve", PORT=str(port))
    theirs = f"http://127.0.0.1:{port}"
    wait_for(lambda: ready(theirs))
    before = here.worker()
    worker = here.start("tests.faults.release", NEXT, "work")
    scene.sending(ours, count=EVENTS, seconds=0.02, kind="fault.three")
    scene.sending(theirs, count=EVENTS, seconds=0.02)
    time.sleep(1.5)
    worker.terminate()
    worker.wait(40)
    later = here.ledger.keys.name("later")
    wait_for(lambda: here.ledger.client.zcard(later))
    scene.insist("written by a later release" in here.run("status"), "status does not tell what waits")
    scene.wait()
    here.start("tests.faults.release", NEXT, "work")
    before.terminate()  # as an update does in the end; together they take a while to share out what waits
    wait_for(lambda: not here.ledger.client.zcard(later))
