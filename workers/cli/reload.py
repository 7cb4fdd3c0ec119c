"""Replaces the worker's processes when an author saves code: handler modules, and what stands beside them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from ..settings import parse_modules
from .output import print_note, print_red

COMMAND = (sys.executable, "-P", "-m", "workers.cli", "handlers")
IGNORED = {"node_modules", "site-packages", "__pycache__"}  # folders; and those that begin with a dot
MAX_FILES = 5000  # that are looked at
MAX_FOLDERS = 2000  # likewise
MIN_REST = 20.0  # between two looks, in times of what one takes
Stamps = dict[Path, tuple[int, int]]  # time of the last change in ns, and size


class Reloader:
    """env: of the worker. replace: has its processes replaced."""

    def __init__(self, env: Mapping[str, str], replace: Callable[[], None]) -> None:
        self._env = env
        self._replace = replace
        self._code = CodeWatch(find_roots(parse_modules(env["WORKER_HANDLERS"])))
        self._next_look = 0.0

    def look(self) -> None:
        """Has the worker run the code that was saved, if it loads. Else the last good code stays."""
        started = time.monotonic()
        if started < self._next_look:
            return
        changed, now = self._code.find_change(), time.monotonic()
        self._next_look = now + (now - started) * MIN_REST
        if changed:
            print_note(f"{changed.name} was saved")
            if load_in_child(self._env):
                self._replace()
            else:
                print_red("it does not load: the worker keeps running the last good code")


def load_in_child(env: Mapping[str, str]) -> bool:
    """Prints which handlers load, and why others do not. Whether all load."""
    loaded = subprocess.run(COMMAND, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)  # noqa: S603
    return loaded.returncode == 0


class CodeWatch:
    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._stamps = self._scan()

    def find_change(self) -> Path | None:
        """A file that is new, gone or changed since the last look, or None."""
        before, self._stamps = self._stamps, self._scan()
        return next((path for path, _ in before.items() ^ self._stamps.items()), None)

    def _scan(self) -> Stamps:
        stamps: Stamps = {}
        for path in list_files(self._roots):
            try:
                stat = path.stat()
            except OSError:  # gone in this moment
                continue
            stamps[path] = stat.st_mtime_ns, stat.st_size
            if len(stamps) >= MAX_FILES:
                break
        return stamps


def list_files(roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        if root.is_file():
            yield root
        for folder, names, files in islice(os.walk(root), MAX_FOLDERS):
            names[:] = sorted(name for name in names if name not in IGNORED and not name.startswith("."))
            yield from (Path(folder, name) for name in files if name.endswith(".py"))


def find_roots(modules: Sequence[str]) -> list[Path]:
    """Where these modules come from: a package's folder, or that of a module with what stands beside it."""
    roots = []
    for name in modules:
        try:
            spec = find_spec(name.partition(".")[0])
        except (ImportError, ValueError):
            continue
        if spec and spec.submodule_search_locations:
            roots += [Path(one) for one in spec.submodule_search_locations]
        elif spec and spec.origin:
            file = Path(spec.origin)
            roots.append(file if file.parent.name == "site-packages" else file.parent)
    return list(dict.fromkeys(roots)) or [Path.cwd()]
