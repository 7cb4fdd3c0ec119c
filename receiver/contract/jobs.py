"""RQ's Job and Queue for our queue: JSON, ids only, and nothing that is read from Redis can choose what runs.

rq info   --job-class receiver.contract.jobs.LedgerJob --queue-class receiver.contract.jobs.LedgerQueue -S json
"""

import hashlib
import json
from typing import Any

from redis.exceptions import ResponseError
from rq import Queue
from rq.job import JOB_ID_PATTERN, Job, JobStatus
from rq.serializers import JSONSerializer

from .connection import text
from .keys import JOB

CALLABLES = {False: "workers.jobs.dispatch", True: "workers.jobs.run"}
REFUSED = "workers.jobs.refused"


class LedgerJob(Job):
    """A job that is what its id says. Whatever else stands in its hash, function, callbacks, webhooks, is not read."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ names it so
        name = id
        if id and not JOB_ID_PATTERN.fullmatch(id):  # RQ would raise, and the worker would end
            name = "refused-" + hashlib.sha256(id.encode()).hexdigest()
        super().__init__(name, connection=connection, serializer=JSONSerializer)

    def refresh(self) -> None:
        try:
            origin = self.connection.hget(self.key, "origin")
        except ResponseError:  # no hash: not ours
            origin = None
        self.restore({b"origin": origin})

    def restore(self, raw_data: Any) -> None:
        """Sets the job from its id; never raises, so no hash can stop a worker."""
        found = JOB.fullmatch(self.id)
        name = CALLABLES[found[3] is not None] if found else REFUSED
        self.data = json.dumps([name, None, [self.id], {}]).encode()
        self.description = f"{name}({self.id})"
        self.timeout = -1  # the ledger's lease and the handler's own timeout bound it
        self.result_ttl = 0
        self.origin = text(raw_data.get(b"origin") or "")  # names RQ's registries, and decides nothing
        self._status = JobStatus.QUEUED

    def _fetch_status(self) -> JobStatus:
        """Without a look at Redis: the claim deletes the job's hash, and RQ would take that for a failure."""
        return self._status


class LedgerQueue(Queue):
    """RQ's queue with our Job class, whatever the caller asks for."""

    job_class = LedgerJob

    def __init__(self, name: str = "default", connection: Any = None, **options: Any) -> None:
        super().__init__(
            name, connection=connection, **{**options, "job_class": LedgerJob, "serializer": JSONSerializer}
        )
