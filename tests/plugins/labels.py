"""A handler that calls another API than Zyra's, where OTHER_URL says."""

import os
import signal

from workers import Event, Router, client

router = Router()
github = client("github", os.environ.get("OTHER_URL", "http://127.0.0.1:1"), rate="1000/min", idempotency_header="idem")


@router.on("labels", name="labels")
def label(event: Event) -> None:
    first = github.post("/first")
    if event.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    github.post("/second", json=first)


@router.on("dies", name="dies", max_attempts=1)
def dies(event: Event) -> None:
    raise ValueError("no such label")


@router.on_dead
def report(event: Event) -> None:
    for failure in event.failures:
        github.post("/dead", json={"handler": failure.handler, "attempts": failure.attempts, "error": failure.error})
