"""Formats log records, one line each: JSON in a pipe, plain words on a terminal."""

import json
import logging
import sys
import time
from typing import Any, TextIO

MAX_VALUE_CHARACTERS = 2000  # of one value: a hostile field must not fill a disk
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class Line(logging.Formatter):
    """JSON with time, level, logger, text and whatever the caller put into extra."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(self.fields(record), default=str)

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        out: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage()[:MAX_VALUE_CHARACTERS],
        }
        for name, value in vars(record).items():
            if name not in STANDARD:
                out[name] = value[:MAX_VALUE_CHARACTERS] if isinstance(value, str) else value
        if record.exc_info:
            out["traceback"] = self.formatException(record.exc_info)[-4 * MAX_VALUE_CHARACTERS :]
        return out


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


def escape(text: str) -> str:
    """The text with terminal codes and line breaks made visible."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def setup(level: str, stream: TextIO | None = None) -> None:
    """All loggers of this process, ours, uvicorn's and RQ's, write to standard error in one form."""
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(Words() if target.isatty() else Line())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
