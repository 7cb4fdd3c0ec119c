"""Faults of the receiver, and of those who speak to it."""

import signal
import time

from tests.support.kit import wait_for

from .row import Scene
from .world import status


def nothing(scene: Scene) -> None:
    base, _ = scene.here.receiver()
    scene.here.worker()
    scene.sending(base)


def killed_before_the_answer(scene: Scene) -> None:
    """SIGKILL while Redis has written and its reply is on the way: what was not answered is sent again, and known."""
    killed(scene, delay=0.2)


def killed_before_the_write(scene: Scene) -> None:
    """SIGKILL while the write is on the way to Redis, and never arrives."""
    killed(scene, withhold=True)


def killed(scene: Scene, *, delay: float = 0.0, withhold: bool = False) -> None:
    here = scene.here
    base, process = here.receiver(**here.through_proxy)
    here.worker()
    sending = scene.sending(base, count=3000, at_once=16, seconds=0.01)
    for _ in range(3):
        time.sleep(0.3)
        here.proxy.delay, here.proxy.withhold = delay, withhold
        time.sleep(0.3)
        here.kill(process)
        scene.insist(sending.is_alive(), "it was over before the fault was")
        here.proxy.delay, here.proxy.withhold = 0.0, False
        process = here.receiver_on(int(base.rpartition(":")[2]), **here.through_proxy)


def rolling_restart(scene: Scene) -> None:
    """Both roles, one after the other, by SIGTERM: every request is answered 202, nothing is repeated."""
    here = scene.here
    receivers = [here.receiver() for _ in range(2)]
    workers = [here.worker() for _ in range(2)]
    sending = scene.sending(*(base for base, _ in receivers), count=6000, at_once=8, seconds=0.02)
    for (base, receiver), worker in zip(receivers, workers, strict=True):
        scene.bases.append(here.receiver()[0])
        receiver.send_signal(signal.SIGTERM)
        wait_for(lambda base=base: status(base) == 503)  # type: ignore[misc]  # what a balancer sees
        scene.bases.remove(base)
        here.worker()
        worker.send_signal(signal.SIGTERM)
        receiver.wait(15)
        worker.wait(30)
    scene.insist(sending.is_alive(), "it was over before the restart was")
    scene.wait()
    scene.insist(scene.sent.refused == scene.sent.unknown == 0, "a request was not answered 202")


def duplicate_storm(scene: Scene) -> None:
    """Each delivery 20 times at once."""
    base, _ = scene.here.receiver()
    scene.here.worker()
    scene.sending(base, copies=20, count=100, at_once=10)
