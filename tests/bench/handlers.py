from typing import Any

from workers import Event, Router

router = Router()


@router.on("push", source="github")
def handle(event: Event) -> None:
    """Nothing."""


def noop(document: dict[str, Any]) -> None:
    """Nothing, as an RQ job."""
