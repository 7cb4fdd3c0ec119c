"""Terminates the virtual servers of a job that failed: those with the job's `job_id` that still run.

https://getzyra.io/documentation/user-guides/organization/stage-5/03-cost-optimization-checklist
"""

from workers import Event, GiveUp, Router, Zyra, ZyraError

router = Router()
GONE = (404, 409)  # it is terminated already, or being so


@router.on("job.failed", reconciled=True)
def clean_up(event: Event, zyra: Zyra) -> None:
    if not event.resource_id:
        raise GiveUp("the event names no job")
    for server in list(zyra.virtual_servers.list()):
        job = server.get("job_id")
        if job is not None and str(job) == event.resource_id and server.status != "terminated":
            try:
                zyra.virtual_servers.terminate(server.id or "")
            except ZyraError as error:
                if error.status not in GONE:
                    raise
