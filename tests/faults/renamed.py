"""The handlers of the next release: the one of the last has another name."""

from workers import Event, Router

router = Router()


@router.on("fault.nothing-of-these", name="renamed")
def renamed(event: Event) -> None: ...
