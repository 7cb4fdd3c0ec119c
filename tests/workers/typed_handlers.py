"""What a type checker finds: `make lint` fails where one of these is no error any more (warn_unused_ignores)."""

from decimal import Decimal

from workers import AsyncZyra, Event, InvoiceEvent, Router, VirtualServerEvent, Zyra
from workers.testing import make_event, run_handler

router = Router()


@router.on("virtual_server.error", timeout=5)
def model(event: VirtualServerEvent, zyra: Zyra) -> None:
    cores: Decimal | None = event.data.vcpus
    assert cores


@router.on("virtual_server.error", "virtual_server.stopped", name="any")
async def any_model(event: Event, zyra: AsyncZyra) -> None:
    name: str | None = event.data.id
    assert name


@router.on("push", source="github")
def other_source(event: Event) -> None:
    assert event.data["ref"]


@router.on("virtual_server.error")  # type: ignore[arg-type]
def wrong_model(event: InvoiceEvent) -> None: ...


def wrong_client(event: Event, zyra: AsyncZyra) -> None: ...


async def wrong_async_client(event: Event, zyra: Zyra) -> None: ...


def wrong_event(event: dict[str, str]) -> None: ...


def check() -> None:
    """Nobody calls it."""
    router.on("job.failed")(wrong_client)  # type: ignore[arg-type]
    router.on("job.failed")(wrong_async_client)  # type: ignore[arg-type]
    router.on("job.failed")(wrong_event)  # type: ignore[arg-type]
    router.on("job.failed", retires=3)  # type: ignore[call-overload]
    router.on("job.failed", timeout="3")  # type: ignore[call-overload]
    router.on(model)  # type: ignore[call-overload]
    model(make_event("virtual_server.error"), run_handler(model, make_event("job.failed")).calls)  # type: ignore[arg-type]
