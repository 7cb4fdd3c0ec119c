"""Formats log records, one line each: JSON in a pipe, plain words on a terminal."""

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TextIO

import msgspec

MAX_VALUE_CHARACTERS = 2000  # of one value: a hostile field must not fill a disk
NOTHING: dict[str, Any] = {}
CONTEXT: ContextVar[dict[str, Any]] = ContextVar("log", default=NOTHING)  # what each line of this thread or task says
encode, encode_lines = msgspec.json.Encoder().encode, msgspec.json.Encoder().encode_lines
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class Line(logging.Formatter):
    """JSON with time, level, logger, text, the context, and whatever the caller put into extra."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), default=str)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        out: dict[str, Any] = {
            "time": format_time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage()[:MAX_VALUE_CHARACTERS],
        }
        for name, value in (CONTEXT.get() | vars(record)).items():
            if name not in STANDARD:
                out[name] = value[:MAX_VALUE_CHARACTERS] if isinstance(value, str) else value
        if record.exc_info:
            out["traceback"] = self.formatException(record.exc_info)[-4 * MAX_VALUE_CHARACTERS :]
        return out


class Lines:
    """Lines of level info with one text, which are written in one piece: a record for each would cost much more.

    They are kept in memory until `flush`. Threads may add. Where lines are no JSON, they are ordinary records.
    """

    def __init__(self, log: logging.Logger, text: str) -> None:
        self._log = log
        self._text = text
        self._head = b"\n" + encode({"level": "info", "logger": log.name, "text": text})[:-1] + b","
        self._waiting: list[msgspec.Struct] = []
        self._flushing = threading.Lock()
        self.add = self._waiting.append  # what the line says besides level, logger and text; `time` comes first

    def flush(self) -> None:
        with self._flushing:
            lines = self._waiting[:]
            del self._waiting[: len(lines)]  # what another thread adds meanwhile comes after them
        self.write(lines)

    def write(self, lines: Sequence[msgspec.Struct]) -> None:
        """Writes these, at once."""
        handlers = logging.root.handlers
        if len(handlers) == 1 and type(handlers[0].formatter) is Line and isinstance(handlers[0], Stream):
            handlers[0].write((b"\n" + encode_lines(lines)).replace(b"\n{", self._head)[1:])  # a text holds no bare \n
            return
        for line in lines:
            extra = msgspec.to_builtins(line)
            extra.pop("time")
            self._log.info(self._text, extra=extra)


class Stream(logging.StreamHandler[TextIO]):
    """Also writes lines that are formatted already."""

    def write(self, lines: bytes) -> None:
        with self.lock or contextlib.nullcontext():
            self.flush()
            if buffer := getattr(self.stream, "buffer", None):
                buffer.write(lines)
                buffer.flush()
            else:
                self.stream.write(lines.decode())


class Words(Line):
    """For terminals. Control characters in values stay escaped."""

    def format(self, record: logging.LogRecord) -> str:
        out = self.fields(record)
        traceback = out.pop("traceback", None)
        head = f"{out.pop('time')[11:19]} {out.pop('level'):<7} {escape(str(out.pop('text')))}"
        out.pop("logger")
        rest = " ".join(f"{name}={escape(str(value))}" for name, value in out.items())
        lines = [escape(line) for line in (traceback or "").splitlines()]
        return "\n".join([f"{head} {rest}".rstrip(), *lines])


def format_time(at: float) -> str:
    """Seconds since 1970 as RFC 3339, with milliseconds."""
    return format_milliseconds(int(at * 1000))


@lru_cache(maxsize=4)
def format_milliseconds(at: int) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(at // 1000))}.{at % 1000:03d}Z"


def escape(text: str) -> str:
    """The text with terminal codes and line breaks made visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def setup(level: str, stream: TextIO | None = None) -> None:
    """All loggers of this process, ours, uvicorn's and RQ's, write to standard error in one form."""
    target = stream or sys.stderr
    handler = Stream(target)
    handler.setFormatter(Words() if target.isatty() else Line())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
