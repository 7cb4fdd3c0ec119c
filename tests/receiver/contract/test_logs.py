import io
import json
import logging
from collections.abc import Iterator

import msgspec
import pytest

from receiver.contract.logs import Lines, setup


@pytest.fixture(autouse=True)
def keep_logging() -> Iterator[None]:
    before = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = before


class Facts(msgspec.Struct, omit_defaults=True):
    time: str
    event: str
    ms: float = 0.0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_record_is_one_line_of_json() -> None:
    out = io.StringIO()
    setup("INFO", out)

    logging.getLogger("x").warning("a\nb %s", "c" * 9000, extra={"event": "evt\x1b[31m", "number": 5})

    line = out.getvalue()
    assert line.count("\n") == 1
    found = json.loads(line)
    assert (found["level"], found["event"], found["number"], len(found["text"])) == ("warning", "evt\x1b[31m", 5, 2000)


def test_a_terminal_gets_words_and_no_codes() -> None:
    out = Terminal()
    setup("INFO", out)

    logging.getLogger("x").info("hello\x1b[31m", extra={"event": "a\nb"})

    assert out.getvalue().endswith("info    hello\\x1b[31m event=a\\nb\n")


def test_a_traceback_is_kept_in_both_forms() -> None:
    for out in (io.StringIO(), Terminal()):
        setup("INFO", out)
        try:
            raise ValueError("why")
        except ValueError:
            logging.getLogger("x").exception("it failed")
        assert "ValueError: why" in out.getvalue()


def test_a_traceback_on_a_terminal_has_no_codes() -> None:
    out = Terminal()
    setup("INFO", out)

    try:
        raise ValueError("\x1b]0;title\x07\x1b[31m")
    except ValueError:
        logging.getLogger("x").exception("failed")

    assert "\x1b" not in out.getvalue()
    assert "ValueError: \\x1b]0;title\\x07" in out.getvalue()


def test_lines_are_written_in_one_piece_and_in_the_same_form() -> None:
    out = io.StringIO()
    setup("INFO", out)
    lines = Lines(logging.getLogger("x"), "delivery")
    lines.add(Facts("2026", "evt_é\n{", 1.5))
    lines.add(Facts("2026", "evt_2"))
    lines.flush()
    lines.flush()

    logging.getLogger("x").info("delivery", extra={"event": "evt_2"})

    first, second, record = map(json.loads, out.getvalue().splitlines())
    assert (first["event"], first["ms"]) == ("evt_é\n{", 1.5)
    assert second | {"time": ""} == record | {"time": ""}


def test_lines_on_a_terminal_are_words() -> None:
    out = Terminal()
    setup("INFO", out)
    lines = Lines(logging.getLogger("x"), "delivery")
    lines.add(Facts("2026", "evt_1"))

    lines.flush()

    assert out.getvalue().endswith("delivery event=evt_1\n")
