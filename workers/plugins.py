"""Handler modules: named in WORKER_HANDLERS, or brought by installed packages."""

import inspect
import logging
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import CellType, ModuleType

from receiver.contract.errors import ConfigurationError

from .errors import WrongHandler
from .handler import Handler
from .load_faults import GROUP, LoadFault, explain_fault
from .router import Router

log = logging.getLogger(__name__)


def load_handlers(modules: Sequence[str], *, keep_going: bool = False) -> Router:
    """One router of all that the modules have. Raises ConfigurationError naming every module that fails.

    keep_going: what fails is logged and left out instead.
    """
    router, faults = load_modules(modules)
    if faults and not keep_going:
        raise ConfigurationError([fault.message for fault in faults])
    for fault in faults:
        log.error("%s; going on without it", fault.message, extra={"traceback": fault.traceback})
    return router


def load_modules(modules: Sequence[str]) -> tuple[Router, list[LoadFault]]:
    """One router of the modules that load, and why the others do not."""
    router, faults = Router(), []
    for name in expand(modules):
        try:
            include(router, name)
        except (Exception, SystemExit) as error:
            faults.append(explain_fault(name, error))
    return router, faults


def expand(modules: Sequence[str]) -> list[str]:
    """The modules' names: `*` stands for every installed plugin, and a plugin may be named as it names itself."""
    installed = {point.name: point.module for point in entry_points(group=GROUP)}
    names: list[str] = []
    for name in modules:
        names += installed.values() if name == "*" else [installed.get(name, name)]
    return list(dict.fromkeys(names))


def include(router: Router, name: str) -> None:
    """Adds a module's handlers. Raises WrongHandler where it has none, or some that would never run."""
    module = import_module(name)
    place = Path(getattr(module, "__file__", None) or name).name
    offered = getattr(module, "router", None)
    if not isinstance(offered, Router):
        raise WrongHandler(place, [f"has no `router = Router()`{hint_at_name(module)}"])
    if faults := list(find_lost_handlers(module, offered)):
        raise WrongHandler(place, faults)
    router.include(offered)


def find_lost_handlers(module: ModuleType, offered: Router) -> Iterator[str]:
    """Handlers of a module that nobody would call."""
    routers = {name: value for name, value in vars(module).items() if isinstance(value, Router)}
    for name, other in routers.items():
        own = [one.name for one in other if one.function.__module__ == module.__name__ and not offered.get(one.name)]
        if own:
            yield f"the handlers of `{name}` are not loaded: add router.include({name})"
    for handler in offered:
        if hides := find_decorator_above(module, handler):
            yield f"{handler.place}: {hides} stands above @router.on and would be ignored: write it below"
    if not list(offered):
        yield "its router has no handlers: write @router.on(...) above a function"


def find_decorator_above(module: ModuleType, handler: Handler) -> str:
    """Names a decorator that wraps the function after @router.on has registered it; "" if there is none."""
    function = handler.function
    shown = vars(module).get(getattr(function, "__name__", ""))
    if shown is function or not callable(shown):
        return ""
    cells = [cell.cell_contents for cell in getattr(shown, "__closure__", None) or () if cell != CellType()]
    return f"a decorator of {function.__name__}" if function in (*cells, inspect.unwrap(shown)) else ""


def hint_at_name(module: ModuleType) -> str:
    named = next((name for name, value in vars(module).items() if isinstance(value, Router)), "")
    return f": call it `router`, not `{named}`" if named else ""
