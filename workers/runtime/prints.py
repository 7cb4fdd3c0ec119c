"""What a handler prints becomes lines of the log, with the event and the attempt."""

import io
import logging
import sys
from contextvars import ContextVar
from typing import TextIO

from receiver.contract.logs import CONTEXT

log = logging.getLogger("print")
UNFINISHED: ContextVar[str] = ContextVar("unfinished", default="")  # the line that an attempt has begun to print


class Prints(io.TextIOBase):
    """Stands for standard output. Outside of handlers it writes there."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        if not CONTEXT.get():
            return self._out.write(text)
        *lines, rest = (UNFINISHED.get() + text).split("\n")
        UNFINISHED.set(rest)
        for line in lines:
            if line:
                log.info("%s", line)
        return len(text)

    def flush(self) -> None:
        if not CONTEXT.get():
            self._out.flush()

    def fileno(self) -> int:
        return self._out.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._out.encoding

    def writable(self) -> bool:
        return True


def install() -> None:
    sys.stdout = Prints(sys.stdout)


def end_line() -> None:
    """Logs what an attempt printed without a line break at its end."""
    if rest := UNFINISHED.get():
        UNFINISHED.set("")
        log.info("%s", rest)
