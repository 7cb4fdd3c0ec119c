"""Handlers for tests that call back into the API; each names its process in the folder that PIDS names."""

import os
from pathlib import Path

from workers import AsyncZyra, Event, Router, Zyra

router = Router()


@router.on("call.pair", name="pair")
def pair(event: Event, zyra: Zyra) -> None:
    """Two changing calls, the second of which needs the first one's answer."""
    (Path(os.environ["PIDS"]) / f"{event.id}-{event.attempt}").write_text(str(os.getpid()))
    made = zyra.virtual_servers.create(name=f"pair-{event.key}", note=event.id)
    zyra.virtual_servers.stop(str(made.id))


@router.on("call.blind", name="blind")
def blind(event: Event, zyra: Zyra) -> None:
    """The same, but nothing would tell who has created the server."""
    (Path(os.environ["PIDS"]) / f"{event.id}-{event.attempt}").write_text(str(os.getpid()))
    made = zyra.virtual_servers.create(name="blind", note=event.id)
    zyra.virtual_servers.stop(str(made.id))


@router.on("call.three", name="three")
def three(event: Event, zyra: Zyra) -> None:
    """Three changing calls."""
    (Path(os.environ["PIDS"]) / f"{event.id}-{event.attempt}").write_text(str(os.getpid()))
    made = zyra.virtual_servers.create(name=f"three-{event.key}", note=event.id)
    zyra.virtual_servers.stop(str(made.id))
    zyra.virtual_servers.terminate(str(made.id))


@router.on("call.read", name="read")
async def read(event: Event, zyra: AsyncZyra) -> None:
    await zyra.virtual_servers.get("vs_0001")


@router.on("call.create", name="create")
def create(event: Event, zyra: Zyra) -> None:
    zyra.virtual_servers.create(name=f"one-{event.key}")
