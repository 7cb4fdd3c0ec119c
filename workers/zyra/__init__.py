"""The client for Zyra's API, sync and async from one description of each call.

routes     the route table, from `routes.toml`
resources  the calls by area, as methods; `models`: what they return
client     the two clients
results    what a method returns: a row, a list page by page, or a file; `issued_calls` knows which were not awaited
event_types  the types of Zyra's events
caller     makes a call: within the shared limits, and once for a run; `recovery` finds out what became of one
journal    what a run has asked already, so that no attempt asks it twice
budget     how many calls a minute, shared by all workers
credentials  the API key, or a login that all workers share
transport  performs `effects`: Redis, sleep, HTTP; blocking or not
calls      what a call is; the envelope; paging
openapi    compares the route table with an OpenAPI document
errors     what a call may raise, and what it means for the run
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import AsyncZyra, Zyra
    from .errors import ZyraError

__all__ = ["AsyncZyra", "Zyra", "ZyraError"]


def __getattr__(name: str) -> object:
    """A worker whose handlers take no client does without the libraries of one."""
    if name not in __all__:
        raise AttributeError(f"module 'workers.zyra' has no attribute {name!r}")
    return getattr(import_module(".errors" if name == "ZyraError" else ".client", __name__), name)
