"""RQ's own code, given our classes, finds nothing in Redis that could choose what runs."""

import json
import pickle
from typing import Any

import pytest
import redis

from receiver.contract import keys as names
from receiver.contract.jobs import LedgerJob, LedgerQueue
from receiver.contract.keys import Keys
from receiver.contract.rq_names import RQ_KEY_PREFIX, JobStatus

EVENT = "evt_" + "0" * 26


@pytest.mark.parametrize(
    ("job", "function"),
    [
        (f"1-{EVENT}", "workers.jobs.dispatch"),
        (f"1-{names.make_run_id(EVENT, 'x')}", "workers.jobs.run"),
        ("evil", "workers.jobs.refuse"),
        ("os.system('id')", "workers.jobs.refuse"),
    ],
)
def test_a_job_is_what_its_id_says(client: redis.Redis, job: str, function: str) -> None:
    client.hset(f"{RQ_KEY_PREFIX}:job:{job}", mapping=FORGED)

    found = LedgerJob.fetch(job, client)

    assert found.func_name == function
    assert found.args == [found.id]
    assert (found.timeout, found.result_ttl, found.get_status()) == (-1, 0, JobStatus.QUEUED)
    assert (found.success_callback, found.failure_callback, found.stopped_callback, found.webhooks) == (None,) * 3 + (
        [],
    )
    assert (found.meta, found.retries_left, found._dependency_ids) == ({}, None, [])


FORGED: dict[Any, Any] = {
    "data": json.dumps(["os.system", None, ["id"], {}]),
    "meta": pickle.dumps({}),
    "status": "no such status",
    "success_callback_name": "os.system",
    "failure_callback_name": "os.system",
    "stopped_callback_name": "os.system",
    "webhooks": '[{"url": "http://127.0.0.1:1"}]',
    "timeout": "x",
    "retries_left": "many",
    "dependency_ids": "[]",
}


def test_a_job_of_the_wrong_type_does_not_raise(client: redis.Redis) -> None:
    client.set(f"{RQ_KEY_PREFIX}:job:wrong", "type")

    assert LedgerJob.fetch("wrong", client).func_name == "workers.jobs.refuse"


def test_a_queue_knows_no_other_job_class(client: redis.Redis) -> None:
    keys = Keys("events")
    client.delete(keys.jobs)
    queue = LedgerQueue(keys.queue, connection=client, job_class="rq.job.Job", serializer="pickle")
    client.rpush(keys.jobs, f"1-{EVENT}")

    assert queue.job_class is LedgerJob
    assert queue.job_ids == [f"1-{EVENT}"]
