"""Restarts a virtual server that failed, at most three times an hour; then it is a person's turn.

Zyra has no restart call: stop, then start. The server is read first, since by now it may run again, be gone, or have
been stopped by somebody, which must win.
"""

from workers import Event, GiveUp, RetryLater, Router, Zyra, ZyraError, allow

router = Router()
APART = 30.0  # seconds in which one event of a server is enough


@router.on("virtual_server.error")
def restart(event: Event, zyra: Zyra) -> None:
    server = event.resource_id
    status = zyra.virtual_servers.get(server).status
    if status not in ("error", "stopped"):
        return
    if status == "error" and not allow(f"restarting:{server}", times=1, seconds=APART):
        raise RetryLater(APART, "another attempt is restarting it")
    is_first = allow(f"restart:{event.id}", times=1, seconds=86400)  # a later attempt is the same restart
    if status == "stopped" and is_first:
        return
    if is_first and not allow(f"restart:{server}", times=3, seconds=3600):
        raise GiveUp(f"{server} was restarted three times within an hour: look at it")
    try:
        zyra.virtual_servers.stop(server)  # one that an earlier attempt has made is not made again
    except ZyraError as error:
        if error.status != 409:  # it was stopped meanwhile, and not by us
            raise
    else:
        zyra.virtual_servers.start(server)
