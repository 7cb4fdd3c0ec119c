"""Restarts a virtual server that failed, at most three times an hour; then it is a person's turn.

Zyra has no restart call: stop, then start. The server is read first, since by now it may run again, or be gone.
"""

from workers import Event, GiveUp, Router, Zyra, allow

router = Router()


@router.on("virtual_server.error")
def restart(event: Event, zyra: Zyra) -> None:
    status = zyra.virtual_servers.get(event.resource_id)["status"]
    if status == "error":
        first = allow(f"restart:{event.id}", times=1, seconds=86400)  # a later attempt is the same restart
        if first and not allow(f"restart:{event.resource_id}", times=3, seconds=3600):
            raise GiveUp(f"{event.resource_id} was restarted three times within an hour: look at it")
        zyra.virtual_servers.stop(event.resource_id)
    if status == "error" or (status == "stopped" and event.attempt > 1):  # an earlier attempt got no further
        zyra.virtual_servers.start(event.resource_id)
