"""What a handler imports; everything else of this package is the worker that runs it.

    from workers import Event, GiveUp, RetryLater, Router, Zyra, allow, post

Along the flow: ledger, dispatch, dispatcher, router, attempt, threads, loop, performer, recorder,
holding, process (what runs handlers); child, parent, worker (what watches it); sweeper; jobs is for a stock RQ worker.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .context import allow
    from .errors import GiveUp, RetryLater
    from .event import Event
    from .outgoing import post
    from .router import Router
    from .zyra import AsyncZyra, Zyra, ZyraError

__all__ = ["AsyncZyra", "Event", "GiveUp", "RetryLater", "Router", "Zyra", "ZyraError", "allow", "post"]

PLACES = {
    "AsyncZyra": "zyra",
    "Event": "event",
    "GiveUp": "errors",
    "RetryLater": "errors",
    "Router": "router",
    "Zyra": "zyra",
    "ZyraError": "zyra",
    "allow": "context",
    "post": "outgoing",
}


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'workers' has no attribute {name!r}")
    return getattr(import_module(f".{PLACES[name]}", __name__), name)
