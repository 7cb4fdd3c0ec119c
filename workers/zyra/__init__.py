"""The client for Zyra's API, sync and async from one description of each call.

calls      what a call is; the envelope; paging
resources  the calls, by area
client     the two clients that send them
errors     what a call may raise, and what it means for the run
"""

from .client import AsyncZyra, Zyra
from .errors import ZyraError

__all__ = ["AsyncZyra", "Zyra", "ZyraError"]
