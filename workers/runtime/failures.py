"""What is kept of a failed attempt: its words, the last frames, and the cause that it shares with others."""

import inspect
import re
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from ..errors import GiveUp
from ..handler import Handler
from ..ledger.units import Cause

MAX_FRAMES = 8
MAX_LINE_CHARACTERS = 160  # of a frame
MAX_WORDS_CHARACTERS = 200  # of a message that are compared
OURS = str(Path(__file__).parent)
LIBRARY = sysconfig.get_path("stdlib")
VARYING = re.compile(
    r"""'[^']*'|"[^"]*"|\S*\d\S*|https?://\S+|\S+@\S+"""  # what is quoted, holds a digit, is a URL or an address
)


def describe_error(error: BaseException) -> str:
    """The exception's type, or its cause, and its words, whatever its `__str__` does; of GiveUp what led to it, too."""
    led = error.__cause__ if isinstance(error, GiveUp) else None
    try:
        words = f"{name_kind(error)}: {error}"
        return f"{words} (from {type(led).__name__}: {led})" if led else words
    except Exception:
        return type(error).__name__


def name_kind(error: BaseException) -> str:
    return (isinstance(error, GiveUp) and error.cause) or type(error).__name__


def list_frames(error: BaseException, code: bool = True) -> tuple[str, ...]:
    """The last lines of the traceback below our own runtime, with those of what led to it, without any message.

    code: whether they show the lines of code, which may hold a message.
    """
    chain = list[str]()
    for one in reversed(list(follow_causes(error))):
        frames = [frame for frame in traceback.extract_tb(one.__traceback__) if not frame.filename.startswith(OURS)]
        chain += [
            f"{frame.filename}:{frame.lineno} in {frame.name}" + (f": {frame.line}" if code and frame.line else "")
            for frame in frames
        ]
        chain.append(type(one).__name__)
    return tuple(clean(line[:MAX_LINE_CHARACTERS]) for line in chain[-MAX_FRAMES:])


def follow_causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, then what led to it. The chain may be a circle."""
    seen, one = set[int](), error
    while id(one) not in seen and len(seen) < MAX_FRAMES:
        seen.add(id(one))
        yield one
        following = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if following is None:
            return
        one = following


def find_cause(error: BaseException, handler: Handler) -> Cause:
    """What the failure has in common with others of its kind."""
    own = list(list_own_frames(error, handler))
    try:
        words = normalize(str(error))
    except Exception:
        words = ""
    return Cause(
        handler=handler.name,
        kind=clean(name_kind(error))[:MAX_LINE_CHARACTERS],
        place=f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "",
        words=words,
        path=tuple(f"{Path(frame.filename).name} {frame.name}" for frame in own),
    )


def list_own_frames(error: BaseException, handler: Handler) -> Iterator[traceback.FrameSummary]:
    """Frames in the folder of the handler's module; else all that are not of a library."""
    folder = find_folder(handler)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(OURS)]
    own = [frame for frame in frames if folder and frame.filename.startswith(folder)]
    yield from own or [frame for frame in frames if not is_of_library(frame.filename)]


def is_of_library(path: str) -> bool:
    return "site-packages" in path or path.startswith((LIBRARY, "<"))


def find_folder(handler: Handler) -> str:
    """The folder of the module that the function stands in, or ""."""
    code = getattr(inspect.unwrap(handler.function), "__code__", None)
    return f"{Path(code.co_filename).parent}/" if code else ""


def normalize(message: str) -> str:
    """The message without what differs from one event to the next."""
    return clean(VARYING.sub("*", message[: 4 * MAX_WORDS_CHARACTERS])[:MAX_WORDS_CHARACTERS])


def clean(text: str) -> str:
    """The text as UTF-8 can hold it: half a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
