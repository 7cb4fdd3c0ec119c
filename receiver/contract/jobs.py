"""RQ's Job and Queue for our queue: ids only. Nothing that is read from Redis can choose what runs.

export RQ_KEY_PREFIX={events}:rq
rq info --job-class receiver.contract.jobs.LedgerJob --queue-class receiver.contract.jobs.LedgerQueue -S json
"""

import hashlib
import json
from typing import Any

from .keys import JOB
from .rq_names import JOB_ID_PATTERN, Job, JobStatus, JSONSerializer, Queue, refuse_other_prefix

CALLABLES = {False: "workers.jobs.dispatch", True: "workers.jobs.run"}
REFUSED = "workers.jobs.refuse"


class LedgerJob(Job):
    """A job that is defined by its id. The job's hash (function, callbacks, webhooks) is never read."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ names it so
        name = id
        if id and not JOB_ID_PATTERN.fullmatch(id):  # RQ would raise, and the worker would end
            name = "refused-" + hashlib.sha256(id.encode()).hexdigest()
        super().__init__(name, connection=connection, serializer=JSONSerializer)

    def refresh(self) -> None:
        self.restore({})

    def restore(self, raw_data: Any) -> None:
        """Sets the job from its id without reading Redis: our jobs have no hash."""
        match = JOB.fullmatch(self.id)
        name = CALLABLES[match[3] is not None] if match else REFUSED
        self.data = json.dumps([name, None, [self.id], {}]).encode()
        self.description = f"{name}({self.id})"
        self.timeout = -1  # the ledger's lease and the handler's own timeout bound it
        self.result_ttl = 0
        self._status = JobStatus.QUEUED

    def _fetch_status(self) -> JobStatus:
        """RQ would take a job without a hash for a failed one."""
        return self._status


class LedgerQueue(Queue):
    """RQ's queue, always with our Job class. Raises ConfigurationError where RQ's keys are not this ledger's."""

    job_class = LedgerJob

    def __init__(self, name: str = "default", connection: Any = None, **options: Any) -> None:
        refuse_other_prefix(name)
        super().__init__(
            name, connection=connection, **{**options, "job_class": LedgerJob, "serializer": JSONSerializer}
        )

    @classmethod
    def dequeue_any(cls, *arguments: Any, **options: Any) -> tuple[Job, Queue] | None:
        """The next job and its queue. The job gets the queue's name, because RQ names its registries by it."""
        dequeued = super().dequeue_any(*arguments, **options)
        if dequeued:
            job, queue = dequeued
            job.origin = queue.name
        return dequeued
