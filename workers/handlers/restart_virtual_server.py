"""Restarts a virtual server in state `error`, at most three times an hour; then the run is a dead letter.

Zyra has no restart call: stop, then start. The server is read first, since by now it may run again, be gone, or have
been stopped by somebody, which must win.
"""

from collections.abc import Callable

from workers import Event, GiveUp, RetryLater, Router, Zyra, ZyraError, allow

router = Router()
LOOK_AGAIN_SECONDS = 10.0  # until a server that is being stopped is looked at again
SAME_EVENT_SECONDS = 60.0  # within which one event of a server is enough
HOUR_SECONDS = 3600.0
IN_ERROR = ("error", "errored", "in_error", "error_state", "failed", "failure", "faulted", "crashed")  # in any spelling
WELL = (  # nothing is to be restarted
    "running", "starting", "stopped", "stopping", "restarting", "rebooting", "resizing", "creating", "created",
    "provisioning", "pending", "terminated", "terminating", "deleted", "deleting",
)  # fmt: skip
WEEK_SECONDS = 7 * 86400.0  # longer than any run


@router.on("virtual_server.error")
def restart(event: Event, zyra: Zyra) -> None:
    server = event.resource_id
    if not server:
        raise GiveUp("the event names no server: say where its id is by `resource_id` of the source")
    state = zyra.virtual_servers.get(server).state
    if state not in (*IN_ERROR, *WELL):
        raise GiveUp(f"{server} is in state {state!r}, which is not known: look at it")
    begun = allow(f"restart:{event.id}", times=0, seconds=WEEK_SECONDS, who="us")  # by an earlier attempt
    if state == "stopping" and begun:
        raise RetryLater(LOOK_AGAIN_SECONDS, f"{server} is being stopped")
    if state not in IN_ERROR and not (state == "stopped" and begun):
        return
    if not allow(f"restarting:{server}", times=1, seconds=SAME_EVENT_SECONDS, who=event.id):
        raise RetryLater(SAME_EVENT_SECONDS, "another event's handler is restarting it")
    if not begun and not allow(f"restart:{server}", times=3, seconds=HOUR_SECONDS, who=event.id):
        raise GiveUp(f"{server} was restarted three times within an hour: look at it")
    allow(f"restart:{event.id}", times=1, seconds=WEEK_SECONDS, who="us")
    is_ours = try_call(zyra.virtual_servers.stop, server)  # one that an earlier attempt has made is not made again
    if is_ours and not try_call(zyra.virtual_servers.start, server):
        raise RetryLater(LOOK_AGAIN_SECONDS, f"{server} is not stopped yet, or somebody else has started it")


def try_call(call: Callable[[str], object], server: str) -> bool:
    """Whether the server was in a state that allows the call; 409 says that it was not."""
    try:
        call(server)
    except ZyraError as error:
        if error.status != 409:
            raise
        return False
    return True
