"""Handler modules: named in WORKER_HANDLERS, or brought by installed packages."""

import logging
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import entry_points

from receiver.contract.errors import ConfigurationError

from .router import Router

log = logging.getLogger(__name__)
GROUP = "zyra_receiver.handlers"


def load_handlers(modules: Sequence[str], *, keep_going: bool = False) -> Router:
    """One router of all that the modules have. Raises ConfigurationError naming every module that fails.

    keep_going: what fails is logged and left out instead.
    """
    router, faults = Router(), []
    for name in expand(modules):
        try:
            include(router, name)
        except (Exception, SystemExit) as error:
            faults.append(f"handler module {name!r}: {type(error).__name__}: {error}")
    if faults and not keep_going:
        raise ConfigurationError(faults)
    for fault in faults:
        log.error("%s; going on without it", fault)
    return router


def expand(modules: Sequence[str]) -> list[str]:
    """The modules' names: `*` stands for every installed plugin, and a plugin may be named as it names itself."""
    installed = {point.name: point.module for point in entry_points(group=GROUP)}
    names: list[str] = []
    for name in modules:
        names += installed.values() if name == "*" else [installed.get(name, name)]
    return list(dict.fromkeys(names))


def include(router: Router, name: str) -> None:
    module = import_module(name)
    offered = getattr(module, "router", None)
    if not isinstance(offered, Router):
        raise TypeError("has no `router = Router()`")
    router.include(offered)
