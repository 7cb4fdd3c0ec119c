"""Terminates the virtual servers of a job that failed: those with the job's `job_id` that still run.

Zyra does not sign the type of an event, so the job is read first: nobody's word but the API's ends a server.

https://getzyra.io/documentation/user-guides/organization/stage-5/03-cost-optimization-checklist
"""

from workers import Event, GiveUp, Router, Zyra, ZyraError

router = Router()
FAILED = ("failed", "error", "errored", "failure")  # no page says how Zyra calls it
ENDED = ("terminated", "terminating", "deleted", "deleting")  # servers that are gone, or soon will be
GONE_STATUSES = (404, 409)  # it is terminated already, or being so


@router.on("job.failed", reconciled=True)
def clean_up(event: Event, zyra: Zyra) -> None:
    if not event.resource_id:
        raise GiveUp("the event names no job")
    state = read_state(zyra, event.resource_id)
    if state not in FAILED:
        raise GiveUp(f"Zyra says that job {event.resource_id} is {state}, and not failed: its servers stay")
    for server in list(zyra.virtual_servers.list()):
        job = server.get("job_id")
        if job is not None and str(job) == event.resource_id and server.state not in ENDED:
            try:
                zyra.virtual_servers.terminate(server.id or "")
            except ZyraError as error:
                if error.status not in GONE_STATUSES:
                    raise


def read_state(zyra: Zyra, job: str) -> str:
    """What the API says of a job, which is of one of three families."""
    for family in (zyra.ml_jobs, zyra.inference, zyra.fine_tuning_jobs):
        try:
            return family.get(job).state or "without a state"
        except ZyraError as error:
            if error.status != 404:
                raise
    return "unknown"
