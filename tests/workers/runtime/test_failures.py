from typing import Any

import pytest

from workers.errors import GiveUp
from workers.handler import Handler
from workers.runtime.failures import describe_error, find_cause, list_frames, normalize


def fail(text: str, led_by: BaseException | None = None) -> None:
    raise ValueError(text) from led_by


def catch(function: Any, *arguments: Any) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:
        return error
    raise AssertionError("it did not raise")


def handler_of(function: Any) -> Handler:
    return Handler(name="h", types=("*",), source="*", function=function)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no server vs_31337", "no server vs_31338"),
        ("customer 'Ann' is unknown", "customer 'Bob Miller' is unknown"),
        ("https://a.test/x failed", "https://b.test/y failed"),
        ("ann@a.test has no account", "bob@b.test has no account"),
        ("took 12.5 s", "took 3 s"),
    ],
)
def test_messages_that_differ_in_values_have_one_cause(one: str, other: str) -> None:
    assert normalize(one) == normalize(other)
    assert find_cause(catch(fail, one), handler_of(fail)) == find_cause(catch(fail, other), handler_of(fail))


def test_another_sentence_or_exception_or_place_is_another_cause() -> None:
    def fail_elsewhere() -> None:
        fail("no server")

    causes = [
        find_cause(error, handler_of(fail))
        for error in (catch(fail, "no server"), catch(fail, "no disk"), catch(fail_elsewhere), catch(int, "x"))
    ]

    assert len(set(causes)) == 4


def test_the_place_is_the_last_line_of_the_handlers_own_code() -> None:
    def call_library() -> None:
        import json

        json.loads("{")

    cause = find_cause(catch(call_library), handler_of(call_library))

    assert cause.place.startswith("test_failures.py:")
    assert cause.path[-1] == "test_failures.py call_library"


def test_an_exception_from_a_library_alone_has_its_name() -> None:
    cause = find_cause(TimeoutError("not done after 60 s"), handler_of(fail))

    assert (cause.kind, cause.place, cause.path) == ("TimeoutError", "", ())


def test_frames_hold_no_message_and_what_led_to_the_error() -> None:
    frames = list_frames(catch(fail, "secret", KeyError("hidden")))

    assert "KeyError" in frames
    assert frames[-1] == "ValueError"
    assert not any("hidden" in frame or "'secret'" in frame for frame in frames)
    assert len(list_frames(catch(deepen, 50))) == 8


def deepen(levels: int) -> None:
    if not levels:
        raise ValueError
    deepen(levels - 1)


def test_a_chain_of_causes_that_is_a_circle_ends() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one

    assert list_frames(one) == ("KeyError", "ValueError")


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_an_exception_that_cannot_be_told_has_a_cause() -> None:
    assert (describe_error(Mute()), find_cause(Mute(), handler_of(fail)).words) == ("Mute", "")


def test_a_reason_of_give_up_replaces_its_name() -> None:
    class OutcomeUnknown(GiveUp):
        cause = "outcome-unknown"

    assert find_cause(OutcomeUnknown("x"), handler_of(fail)).kind == "outcome-unknown"


def test_what_is_no_text_is_made_one() -> None:
    assert find_cause(ValueError("\ud800"), handler_of(fail)).words == "?"
