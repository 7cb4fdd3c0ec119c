"""The threads in which `def` handlers run."""

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)
Call = tuple[Any, ...]  # a function and its arguments
WAIT_SECONDS = 0.002  # that a call waits for the ones before it; then it has a thread of its own


class HandlerThreads:
    """Up to `most` threads, started when they are needed.

    To wake a thread costs more than many a call: calls that come together are left to one, which makes one after the
    other. What it has not begun a moment later, since a call before it takes its time, others do.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._started = 0
        self._batches: queue.SimpleQueue[deque[Call]] = queue.SimpleQueue()
        self._watched: queue.SimpleQueue[tuple[float, deque[Call]]] = queue.SimpleQueue()

    def start(self) -> None:
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def put(self, calls: Iterable[Call]) -> None:
        """Has them called. May itself be called from any thread."""
        batch = deque(calls)
        if batch:
            self._wake(batch)
        if len(batch) > 1:
            self._watched.put((time.monotonic() + WAIT_SECONDS, batch))

    def _wake(self, batch: deque[Call]) -> None:
        self._batches.put(batch)
        if self._batches.qsize() and self._started < self._most:
            self._started += 1
            threading.Thread(target=self._work, name=f"handler-{self._started}", daemon=True).start()

    def _work(self) -> None:
        while True:
            batch = self._batches.get()
            while batch:
                try:
                    function, *arguments = batch.popleft()
                except IndexError:  # another thread was quicker
                    break
                run_call(function, arguments)
                del function, arguments  # while it waits, nothing is kept alive

    def _watch(self) -> None:
        while True:
            due, batch = self._watched.get()
            time.sleep(max(0.0, due - time.monotonic()))
            for _ in range(len(batch)):
                self._wake(batch)


def run_call(function: Callable[..., None], arguments: Iterable[Any]) -> None:
    try:
        function(*arguments)
    except BaseException:  # whoever asked has answered for it; the thread goes on
        log.exception("a call failed")
