"""Restarts a virtual server that failed, at most three times an hour; then it is a person's turn.

Zyra has no restart call: stop, then start. The server is read first, since by now it may run again, be gone, or have
been stopped by somebody, which must win.
"""

from workers import Event, GiveUp, RetryLater, Router, Zyra, ZyraError, allow

router = Router()
APART = 60.0  # seconds within which one event of a server is enough
HOUR = 3600.0
WEEK = 7 * 86400.0  # longer than any run


@router.on("virtual_server.error")
def restart(event: Event, zyra: Zyra) -> None:
    server = event.resource_id
    status = zyra.virtual_servers.get(server).status
    begun = allow(f"restart:{event.id}", times=0, seconds=WEEK, who="us")  # by an earlier attempt
    if status != "error" and not (status == "stopped" and begun):
        return
    if not allow(f"restarting:{server}", times=1, seconds=APART, who=event.id):
        raise RetryLater(APART, "another event's handler is restarting it")
    if not begun and not allow(f"restart:{server}", times=3, seconds=HOUR, who=event.id):
        raise GiveUp(f"{server} was restarted three times within an hour: look at it")
    allow(f"restart:{event.id}", times=1, seconds=WEEK, who="us")
    try:
        zyra.virtual_servers.stop(server)  # one that an earlier attempt has made is not made again
    except ZyraError as error:
        if error.status != 409:  # it was stopped meanwhile, and not by us
            raise
    else:
        zyra.virtual_servers.start(server)
