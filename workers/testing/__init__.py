"""Tests of handlers: no Redis, no network, no waiting.

    from workers.testing import make_event, run_events, run_handler

events   makes events as they would come; `fixtures` reads those that `zyra-receiver events capture` wrote
running  runs a handler to its end, and kills or pauses it where asked; `crashes` does so at each call
several  runs a handler on several events, under flow control; `lanes` is what that asks of the ledger
answers  of other APIs than Zyra's
journal  the journal of a run's calls, in memory
clock    time that passes at once
plugin   the fixture `zyra` for pytest
"""

from .crashes import check_crashes
from .events import make_event
from .fixtures import load_event
from .running import Result, run_handler
from .several import run_events

__all__ = ["Result", "check_crashes", "load_event", "make_event", "run_events", "run_handler"]
