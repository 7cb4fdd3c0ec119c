"""Waits for a Redis that is away, loads its data, or moves the ledger's slot, when a worker starts."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from receiver.contract.connection import FAULTS, GONE
from receiver.contract.errors import ConfigurationError
from receiver.contract.redis_faults import NO_ANSWER, explain_to_operator, name_cause

log = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0
REPEAT_SECONDS = 60.0  # between two lines that say so
FINAL_CAUSES = ("noauth", "wrongpass", "noperm", "wrongtype")  # that a person must mend
T = TypeVar("T")


def wait_for_redis(ask: Callable[[], T]) -> T:
    """The answer, once there is one. Raises ConfigurationError where waiting does not help."""
    next_line = 0.0
    while True:
        try:
            return ask()
        except FAULTS as error:
            cause = name_cause(error)
            if cause in FINAL_CAUSES or "SSL" in str(error):
                raise ConfigurationError([explain_to_operator(error)]) from None
            if cause == NO_ANSWER and not isinstance(error, GONE):
                raise
            if time.monotonic() >= next_line:
                log.warning("the worker waits: %s", explain_to_operator(error))
                next_line = time.monotonic() + REPEAT_SECONDS
        time.sleep(PAUSE_SECONDS)
