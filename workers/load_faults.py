"""Why a handler module does not load, in words: where, and what to do."""

import difflib
import os
import pkgutil
import traceback
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from .errors import WrongHandler

GROUP = "zyra_receiver.handlers"  # of entry points that name modules
LOADERS = ("importlib", str(Path(__file__).with_name("plugins.py")))  # whose frames say nothing to an author


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFault:
    """Why a module is not loaded. message: what is wrong, where, and what to do. traceback: that leads there, or ""."""

    message: str
    traceback: str


def explain_fault(name: str, error: BaseException) -> LoadFault:
    return LoadFault(message=f"handler module {name!r}: {explain(name, error)}", traceback=format_traceback(error))


def explain(name: str, error: BaseException) -> str:
    if isinstance(error, WrongHandler):
        return str(error)
    place, kind = find_place(name, error), type(error).__name__
    if (
        isinstance(error, ModuleNotFoundError)
        and error.name
        and (name == error.name or name.startswith(f"{error.name}."))
    ):
        return f"there is no such module{suggest_module(name)}"
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or name).name}:{error.lineno}: {kind}: {error.msg}"
    return f"{place}: {kind}: {error}" if place else f"{kind}: {error}"


def find_place(name: str, error: BaseException) -> str:
    """The last line of the module itself that led to the error, or ""."""
    own = name.rpartition(".")[2]
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(one.filename).name}:{one.lineno}" for one in frames if is_file_of(Path(one.filename), own)]
    return places[-1] if places else ""


def is_file_of(path: Path, name: str) -> bool:
    return path.stem == name or (path.stem == "__init__" and path.parent.name == name)


def suggest_module(name: str) -> str:
    if name.endswith(".py"):
        return f": name it without .py, {name[:-3].replace('/', '.')!r}"
    known = [one.name for one in pkgutil.iter_modules([os.getcwd()])] + [one.name for one in entry_points(group=GROUP)]
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f" in {os.getcwd()}, nor is one installed"


def format_traceback(error: BaseException) -> str:
    """The traceback without our own frames; "" where the message suffices."""
    if isinstance(error, WrongHandler):
        return ""
    frames = traceback.TracebackException.from_exception(error)
    frames.stack[:] = [one for one in frames.stack if not any(word in one.filename for word in LOADERS)]
    return "".join(frames.format()).rstrip()
