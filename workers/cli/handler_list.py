"""What `handlers`, `check` and `dev` say of handler modules: what is loaded, and what is not."""

import difflib
from collections.abc import Iterable, Iterator, Sequence

from receiver.contract.errors import ConfigurationError

from ..load_faults import LoadFault
from ..option_checks import CATALOGUES, is_family
from ..plugins import load_modules
from ..router import Router
from .output import print_note, print_red, print_table


def load_and_print(modules: Sequence[str]) -> Router:
    """Loads handler modules and prints a table of them. Raises ConfigurationError where one does not load.

    Warnings and tracebacks go to standard error.
    """
    router, faults = load_modules(modules)
    print_handlers(router)
    report(faults)
    return router


def load_or_report(modules: Sequence[str]) -> Router:
    """The same without the table."""
    router, faults = load_modules(modules)
    report(faults)
    return router


def find_near(name: str, known: Iterable[str]) -> str:
    """The handler that a misspelt name may mean, or ""."""
    names = list(known)
    words = {one.rpartition(".")[2]: one for one in names} | {one: one for one in names}
    near = difflib.get_close_matches(name, words, 1, 0.5)
    return words.get(name) or (words[near[0]] if near else "")


def print_handlers(router: Router) -> None:
    rows = [
        (one.name, ", ".join(one.types) or "(dead letters)", one.source, f"{one.timeout:g} s", one.place)
        for one in router
    ]
    print_table(("HANDLER", "TYPES", "SOURCE", "TIMEOUT", "FILE"), rows)
    for doubt in find_doubts(router):
        print_note(f"warning: {doubt}")


def report(faults: Sequence[LoadFault]) -> None:
    """Raises ConfigurationError where there are any."""
    for fault in faults:
        print_red(fault.traceback)
    if faults:
        raise ConfigurationError([fault.message for fault in faults])


def find_doubts(router: Router) -> Iterator[str]:
    """Types that the source does not list; they may be your own, for `zyra-receiver send`."""
    for handler in router:
        catalogue = CATALOGUES.get(handler.source, ())
        for kind in handler.types if catalogue else ():
            if kind != "*" and kind not in catalogue and not is_family(kind, catalogue):
                yield f"{handler.place}: {handler.source} lists no type {kind!r}: {handler.name} may never run"
