"""What a handler prints, and what is printed elsewhere."""

import io
import logging
from contextvars import copy_context

import pytest

from receiver.contract.logs import CONTEXT
from workers.runtime.prints import Prints, end_line


def test_only_what_a_handler_prints_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    out = io.StringIO()
    prints = Prints(out)

    def handler() -> None:
        CONTEXT.set({"event": "evt_1"})
        print("one", "two\n\nthree", end="", file=prints, flush=True)
        end_line()
        end_line()

    copy_context().run(handler)
    print("elsewhere", file=prints, flush=True)

    assert [record.getMessage() for record in caplog.records] == ["one two", "three"]
    assert out.getvalue() == "elsewhere\n"


def test_it_passes_for_standard_output() -> None:
    with open("/dev/null", "w", encoding="utf-8") as out:
        prints = Prints(out)

        assert (prints.fileno(), prints.encoding, prints.writable(), prints.isatty()) == (
            out.fileno(), "utf-8", True, False,
        )  # fmt: skip
