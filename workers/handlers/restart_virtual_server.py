"""Restarts a virtual server that failed, at most three times an hour; then it is a person's turn.

Zyra has no restart call: stop, then start. The server is read first, since by now it may run again, be gone, or have
been stopped by somebody, which must win.
"""

from collections.abc import Callable

from workers import Event, GiveUp, RetryLater, Router, Zyra, ZyraError, allow

router = Router()
SOON = 10.0  # seconds until a server that is being stopped is looked at again
APART = 60.0  # seconds within which one event of a server is enough
HOUR = 3600.0
WEEK = 7 * 86400.0  # longer than any run


@router.on("virtual_server.error")
def restart(event: Event, zyra: Zyra) -> None:
    server = event.resource_id
    status = zyra.virtual_servers.get(server).status
    begun = allow(f"restart:{event.id}", times=0, seconds=WEEK, who="us")  # by an earlier attempt
    if status == "stopping" and begun:
        raise RetryLater(SOON, f"{server} is being stopped")
    if status != "error" and not (status == "stopped" and begun):
        return
    if not allow(f"restarting:{server}", times=1, seconds=APART, who=event.id):
        raise RetryLater(APART, "another event's handler is restarting it")
    if not begun and not allow(f"restart:{server}", times=3, seconds=HOUR, who=event.id):
        raise GiveUp(f"{server} was restarted three times within an hour: look at it")
    allow(f"restart:{event.id}", times=1, seconds=WEEK, who="us")
    is_ours = taken(zyra.virtual_servers.stop, server)  # one that an earlier attempt has made is not made again
    if is_ours and not taken(zyra.virtual_servers.start, server):
        raise RetryLater(SOON, f"{server} is not stopped yet, or somebody else has started it")


def taken(call: Callable[[str], object], server: str) -> bool:
    """Whether the server was in a state that allows the call; 409 says that it was not."""
    try:
        call(server)
    except ZyraError as error:
        if error.status != 409:
            raise
        return False
    return True
