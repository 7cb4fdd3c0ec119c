"""What a row is: a world, a fault in it while a provider sends, and a report."""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .checker import Report, attempts, check, handled
from .sender import Provider, Sent
from .world import World, world

COUNT = 600
LONGEST = 180.0  # seconds until a provider sends nothing any more


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    fault: Callable[["Scene"], None]
    options: dict[str, str] = field(default_factory=dict)  # of the world

    def run(self, without: str = "") -> Report:
        with world(**self.options, without=without) as here:
            scene = Scene(here)
            try:
                self.fault(scene)
            except AssertionError as error:
                scene.insist(False, str(error))
            return scene.report(self.name + (f", without {without}" if without else ""))


class Scene:
    """A world with a provider; what the fault found is kept in it."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.sent = Sent()
        self.bases: list[str] = []  # the receivers that the provider speaks to, in turn
        self.kills = 0  # of workers, or pauses beyond a lease
        self.note = ""
        self.may_lose = False
        self.loud = False  # whether tracebacks are expected
        self.settle = 90.0  # seconds until all that was accepted must have ended
        self._threads: list[threading.Thread] = []

    def sending(self, *bases: str, count: int = COUNT, kind: str = "fault.one", **options: float) -> threading.Thread:
        """Sends in a thread of its own."""
        self.bases += [base for base in bases if base not in self.bases]
        provider = Provider(self.bases, self.sent, kind, give_up=time.monotonic() + LONGEST)
        thread = threading.Thread(target=lambda: asyncio.run(provider.send(count, **options)))  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)
        return thread

    def wait(self) -> None:
        for thread in self._threads:
            thread.join()

    def insist(self, claim: bool, otherwise: str) -> None:
        """Notes what is wrong, which makes the row fail."""
        if not claim:
            self.note = f"{self.note}; {otherwise}" if self.note else otherwise

    def running(self) -> int:
        return int(self.here.ledger.client.zcard(self.here.ledger.keys.name("running")))

    def report(self, name: str) -> Report:
        self.wait()
        try:
            recovery = self.here.settled(self.settle, lambda: set(self.sent.acked) <= handled(attempts(self.here.log)))
        except AssertionError:
            recovery = self.settle
            self.insist(False, f"not settled after {self.settle:g} s")
        traceback = "" if self.loud else self.here.first_traceback()
        self.insist(not traceback, f"a traceback in the logs:\n{traceback}")
        return check(
            name,
            self.sent,
            self.here.log,
            self.here.done(),
            kills=self.kills,
            recovery=recovery,
            note=self.note,
            may_lose=self.may_lose,
        )
