"""A deadline that is only set where there is something to wait for."""

import asyncio

import pytest
import uvloop

from receiver.patience import within


async def at_once() -> str:
    return "there"


async def after(seconds: float) -> str:
    await asyncio.sleep(seconds)
    await asyncio.sleep(0)
    return "late"


def test_what_is_there_needs_no_loop() -> None:
    with pytest.raises(StopIteration) as ended:
        within(0, at_once()).send(None)  # no step is taken that would wait

    assert ended.value.value == "there"


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_comes_in_time_is_waited_for(run: object) -> None:
    assert run(within(5, after(0.05))) == "late"  # type: ignore[operator]


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_what_does_not_is_cancelled(run: object) -> None:
    with pytest.raises(TimeoutError):
        run(within(0.05, after(5)))  # type: ignore[operator]


def test_what_it_raises_flies() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(within(5, fails()))


def test_who_will_not_be_cancelled_is_waited_for() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "anyway"

    assert asyncio.run(within(0.05, stubborn())) == "anyway"
