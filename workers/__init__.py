"""What a handler imports; everything else of this package is the worker that runs it.

    from workers import Event, GiveUp, RetryLater, Router, Zyra, allow, client, post

router      collects handlers, and finds those for an event
handler     a function, the events that it wants, and how it is run; `handler_types` is what type checkers know of it
option_checks  what an author gives `Router.on` is checked: types and options; `function_checks`: the function
event       what a handler is given
errors      what a handler may raise
context     the lease and `allow`, while a handler runs
outgoing    posts JSON to other services, with an SSRF guard; `retry_after` reads when to come back
plugins     loads handler modules; `load_faults` says why one does not load
settings    the environment of a worker
handlers    handlers that come with the receiver
zyra        the client for Zyra's API; `api`: clients for others
ledger      the record of events and runs
runtime     takes work and runs handlers; `worker` and `jobs` are its addresses for RQ
monitoring  status and metrics
testing     runs handlers in tests, without Redis or a network
sandbox     a Zyra to develop against
cli         the command line, which may import all of the above
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .api.client import async_client, client
    from .api.errors import ApiError
    from .context import allow
    from .errors import GiveUp, RetryLater
    from .event import BreachEvent, DeviceEvent, Event, Failure, InvoiceEvent, JobEvent, VirtualServerEvent
    from .outgoing import post
    from .router import Router
    from .zyra import AsyncZyra, Zyra, ZyraError

__all__ = [
    "ApiError", "AsyncZyra", "BreachEvent", "DeviceEvent", "Event", "Failure", "GiveUp", "InvoiceEvent", "JobEvent",
    "RetryLater", "Router", "VirtualServerEvent", "Zyra", "ZyraError", "allow", "async_client", "client", "post",
]  # fmt: skip

PLACES = {
    "ApiError": "api.errors",
    "AsyncZyra": "zyra",
    "BreachEvent": "event",
    "DeviceEvent": "event",
    "Event": "event",
    "Failure": "event",
    "GiveUp": "errors",
    "InvoiceEvent": "event",
    "JobEvent": "event",
    "RetryLater": "errors",
    "Router": "router",
    "VirtualServerEvent": "event",
    "Zyra": "zyra",
    "ZyraError": "zyra",
    "allow": "context",
    "async_client": "api.client",
    "client": "api.client",
    "post": "outgoing",
}


def __getattr__(name: str) -> object:
    if name not in PLACES:
        raise AttributeError(f"module 'workers' has no attribute {name!r}")
    return getattr(import_module(f".{PLACES[name]}", __name__), name)
