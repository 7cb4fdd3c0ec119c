"""The loop that handlers share: who holds it up, and what that does to the time of the others."""

import asyncio
import time
from contextvars import copy_context

from tests.support.kit import wait_for
from workers.runtime.loop import HandlerLoop, limit


def test_it_names_the_attempt_that_holds_it_up() -> None:
    loop, ended = HandlerLoop(), []
    loop.start()

    async def blocks() -> None:
        time.sleep(1)
        ended.append(True)

    assert loop.find_blocker() is None
    loop.spawn([(("evt_1-x", 7), blocks(), copy_context())])
    wait_for(lambda: loop.find_blocker() == ("evt_1-x", 7))

    wait_for(lambda: ended)
    time.sleep(0.1)
    assert loop.find_blocker() is None


def test_what_nobody_of_ours_holds_up_has_no_name() -> None:
    loop = HandlerLoop()
    loop.start()
    loop._loop.call_soon_threadsafe(time.sleep, 1)

    assert [loop.find_blocker(), loop.find_blocker()] == [None, None]


def test_a_task_that_ends_the_loop_does_not() -> None:
    loop, ended = HandlerLoop(), []
    loop.start()

    async def leaves() -> None:
        raise SystemExit(3)

    async def stays() -> None:
        ended.append(True)

    loop.spawn([(("a", 1), leaves(), copy_context())])
    loop.spawn([(("b", 1), stays(), copy_context())])

    wait_for(lambda: ended)


async def limited(seconds: float, sleep: float) -> bool:
    """Whether the scope expired."""
    scope = asyncio.timeout(None)
    try:
        async with scope:
            with limit(scope, seconds):
                await asyncio.sleep(sleep)
    except TimeoutError:
        pass
    return scope.expired()


def test_a_limit_expires() -> None:
    assert asyncio.run(limited(0.1, 5))
    assert not asyncio.run(limited(5, 0.1))


def test_a_limit_gives_back_the_time_in_which_the_loop_stood_still() -> None:
    async def main() -> tuple[bool, bool]:
        short = asyncio.create_task(limited(0.5, 0.8))
        long = asyncio.create_task(limited(0.5, 60))
        await asyncio.sleep(0)
        time.sleep(2)
        return await short, await long

    assert asyncio.run(main()) == (False, True)


def test_a_scope_that_ended_while_its_limit_was_put_off() -> None:
    async def main() -> bool:
        task = asyncio.create_task(limited(0.2, 0.9))
        await asyncio.sleep(0)
        time.sleep(1)
        found = await task
        await asyncio.sleep(1.2)
        return found

    assert asyncio.run(main()) is False
