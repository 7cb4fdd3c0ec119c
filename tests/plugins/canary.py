"""A handler whose error must stand readable nowhere."""

from workers import Event, Router

router = Router()


@router.on("canary", name="canary", max_attempts=2)
def fail(event: Event) -> None:
    raise ValueError(f"canary-error {event.payload}")
