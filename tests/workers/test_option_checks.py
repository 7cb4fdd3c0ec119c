"""Types and options that an author may misspell."""

from typing import Any

import pytest

from workers import Router
from workers.errors import WrongHandler
from workers.option_checks import find_misspelling
from workers.sandbox.catalogue import TYPES
from workers.zyra.event_types import EVENT_TYPES


async def refuse_async(event: object) -> str:
    return ""


def test_the_sandbox_sends_each_type_of_the_catalogue() -> None:
    assert TYPES == EVENT_TYPES


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("invoice.generatd", 'did you mean "invoice.generated"?'),
        ("virtual_server.errors", 'did you mean "virtual_server.error"?'),
        ("invoice.created", 'did you mean "invoice.generated"?'),
        ("server.error", 'did you mean "virtual_server.error"?'),
        ("Device.Online", 'did you mean "device.online"?'),
        ("job", 'did you mean "job.*"?'),
        ("sla.breach", 'did you mean "sla.breach.*"?'),
        ("virtual_servers.*", 'did you mean "virtual_server.*"?'),
        ("devise.*", 'did you mean "device.*"?'),
        ("device.xyzzyxyzzy", "it sends device.online, device.offline"),
    ],
)
def test_a_misspelt_type_is_refused(kind: str, hint: str) -> None:
    with pytest.raises(WrongHandler) as caught:
        Router().on(kind)

    assert f"zyra sends no {kind!r}: {hint}" in str(caught.value)


@pytest.mark.parametrize("kind", ["*", "invoice.paid", "sla.*", "sla.breach.*", "op.note", "fault.*", "a"])
def test_listed_types_and_types_of_ones_own_are_taken(kind: str) -> None:
    assert find_misspelling(kind, EVENT_TYPES) == ""


def test_a_new_type_can_be_meant_and_other_sources_have_no_catalogue() -> None:
    Router().on("invoice.created", unlisted=True)
    Router().on("invoice.created", source="stripe")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": None}, "source= must be a text"),
        ({"unlisted": "yes"}, "unlisted= must be True or False"),
        ({"max_attempts": None, "timeout": None}, "timeout= must be seconds"),
        ({"retries": -1}, "retries= must be a whole number from 0 on"),
        ({"retries": True}, "retries= must be a whole number from 0 on"),
        ({"retries": 2, "max_attempts": 3}, "retries= and max_attempts= say the same"),
        ({"backoff": "fast"}, "backoff= must be seconds, or a list of seconds"),
        ({"backoff": []}, "backoff= must be seconds"),
        ({"backoff": [1, -1]}, "backoff= must be seconds"),
        ({"delay": "1h"}, "delay= must be seconds"),
        ({"newest": 5, "key": "data.id"}, "newest= must be the path of a time or a number"),
        ({"newest": "data.at"}, "newest= compares events of one key: add key="),
        ({"newest": "data.at", "key": "data.id", "concurrency": 2}, "newest= handles one event of a key at a time"),
        ({"debounce": 0}, "debounce= must be seconds"),
        ({"debounce": 5, "at_most": 4}, "at_most= must be seconds, at least debounce="),
        ({"at_most": 60}, "at_most= and keep= belong to debounce="),
        ({"keep": "first"}, "at_most= and keep= belong to debounce="),
        ({"debounce": 5, "keep": "all"}, 'keep= must be "last" or "first"'),
        ({"rate": "5 per minute"}, 'rate= must be like "5/min"'),
        ({"rate": 5}, 'rate= must be like "5/min"'),
        ({"rate": "0/s"}, 'rate= must be like "5/min"'),
        ({"key": "data..id", "concurrency": 1}, "key= must be a path"),
        ({"key": 5, "concurrency": 1}, "key= must be a path or a function"),
        (
            {"key": "data.id"},
            "key= says by what to count: it needs concurrency=, rate=, debounce=, newest= or ordered=",
        ),
        ({"ordered": 1}, "ordered= must be True or False"),
        ({"ordered": True, "on_dead": "wait"}, 'on_dead= must be "continue" or "stop"'),
        ({"on_dead": "stop"}, "on_dead= says what a dead letter does to the later events of its key: add ordered=True"),
        ({"ordered": True, "debounce": 5}, "ordered= runs every event of a key, debounce= one of many"),
        ({"ordered": True, "concurrency": 2}, "ordered= handles one event of a key at a time"),
        ({"delay": 86401}, "delay= must be seconds"),
    ],
)
def test_options_of_a_wrong_type_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongHandler, match=message):
        Router().on("job.failed", **options)


@pytest.mark.parametrize(
    ("options", "attempts", "backoff"),
    [
        ({}, 8, ()),
        ({"max_attempts": 3}, 3, ()),
        ({"retries": 0, "backoff": 10}, 1, (10.0,)),
        ({"retries": 2, "backoff": [1, 60]}, 3, (1, 60)),
    ],
)
def test_retries_and_backoff(options: dict[str, Any], attempts: int, backoff: tuple[float, ...]) -> None:
    router = Router()
    router.on("job.failed", **options)(lambda event: None)
    (handler,) = router

    assert (handler.max_attempts, handler.backoff) == (attempts, backoff)


@pytest.mark.parametrize(("text", "rate"), [("5/min", (5, 60.0)), ("100/h", (100, 3600.0)), ("1/d", (1, 86400.0))])
def test_rates(text: str, rate: tuple[int, float]) -> None:
    router = Router()
    router.on("job.failed", rate=text)(lambda event: None)
    (handler,) = router

    assert handler.rate == rate
