"""Calls that come together share a thread, as long as none of them takes its time."""

import threading
import time

import pytest

from tests.support.kit import wait_for
from workers.runtime.threads import HandlerThreads


@pytest.fixture
def threads() -> HandlerThreads:
    found = HandlerThreads(8)
    found.start()
    return found


def test_quick_calls_are_left_to_one_thread(threads: HandlerThreads) -> None:
    seen: list[str] = []

    threads.put([(seen.append, str(number)) for number in range(100)])

    wait_for(lambda: len(seen) == 100)
    assert seen == [str(number) for number in range(100)]
    assert threads._started <= 2


def test_a_slow_call_delays_no_other(threads: HandlerThreads) -> None:
    gate, seen = threading.Event(), list[int]()

    threads.put([(gate.wait, 20), *((seen.append, number) for number in range(5))])

    wait_for(lambda: len(seen) == 5, 5)
    gate.set()


def test_as_many_slow_calls_as_threads_run_at_once(threads: HandlerThreads) -> None:
    together = threading.Barrier(9)

    threads.put([(together.wait, 20)] * 8)

    together.wait(20)
    assert threads._started == 8


def test_what_fails_takes_no_thread_along(threads: HandlerThreads, caplog: pytest.LogCaptureFixture) -> None:
    def leave() -> None:
        raise SystemExit(3)

    seen: list[int] = []
    threads.put([(leave,)])
    threads.put([(seen.append, 1)])

    wait_for(lambda: seen)
    wait_for(lambda: "a call failed" in caplog.text)  # another thread may say so, and later


def test_nothing_is_no_work(threads: HandlerThreads) -> None:
    threads.put([])
    time.sleep(0.05)

    assert threads._started == 0
