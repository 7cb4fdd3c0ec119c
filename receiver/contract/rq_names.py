"""What we use of RQ. Our code imports it from here, because RQ reads its key prefix once, when it is imported.

Where RQ_KEY_PREFIX is not set, that is the one of QUEUE's ledger.
"""

import os
from contextlib import suppress

from .errors import ConfigurationError
from .keys import Keys, find_tag
from .settings import DEFAULT_QUEUE, parse_rq_prefix, parse_word


def choose_prefix() -> str:
    """The prefix for this environment. Invalid values are ignored here, and refused where the settings are read."""
    queue, given = DEFAULT_QUEUE, ""
    with suppress(ValueError):
        queue = parse_word(os.environ.get("QUEUE", DEFAULT_QUEUE))
        given = parse_rq_prefix(os.environ["RQ_KEY_PREFIX"]) if "RQ_KEY_PREFIX" in os.environ else ""
    return given or Keys(queue).rq_prefix


before = os.environ.get("RQ_KEY_PREFIX")
os.environ["RQ_KEY_PREFIX"] = choose_prefix()
from rq import Queue as Queue  # noqa: E402
from rq.defaults import RQ_KEY_PREFIX as RQ_KEY_PREFIX  # noqa: E402
from rq.job import JOB_ID_PATTERN as JOB_ID_PATTERN  # noqa: E402
from rq.job import Job as Job  # noqa: E402
from rq.job import JobStatus as JobStatus  # noqa: E402
from rq.serializers import JSONSerializer as JSONSerializer  # noqa: E402
from rq.worker import BaseWorker as BaseWorker  # noqa: E402
from rq.worker import WorkerStatus as WorkerStatus  # noqa: E402

if before is None:  # whoever starts a process of another queue must not hand it ours
    del os.environ["RQ_KEY_PREFIX"]
else:
    os.environ["RQ_KEY_PREFIX"] = before


def refuse_other_prefix(queue: str) -> None:
    """Raises ConfigurationError where RQ was imported for another queue: a worker would listen to that one."""
    keys = Keys(queue)
    if find_tag(RQ_KEY_PREFIX) != keys.tag:
        raise ConfigurationError(
            [
                f"RQ's key prefix is {RQ_KEY_PREFIX!r}, which is not of the queue {queue!r}: "
                f"set QUEUE={queue} and RQ_KEY_PREFIX={keys.rq_prefix} before the process starts"
            ]
        )
