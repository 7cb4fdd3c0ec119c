"""What type checkers know of `Router.on`: which function fits which type, and which options there are."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar, overload

from .event import Event

if TYPE_CHECKING:
    from .zyra import AsyncZyra, Zyra
    from .zyra.models import Row

DeviceType = Literal["device.online", "device.offline", "device.approved", "device.removed", "device.*"]
VirtualServerType = Literal[
    "virtual_server.created", "virtual_server.started", "virtual_server.stopped", "virtual_server.terminated",
    "virtual_server.error", "virtual_server.*",
]  # fmt: skip
JobType = Literal["job.queued", "job.started", "job.completed", "job.failed", "job.*"]
BreachType = Literal["sla.breach.started", "sla.breach.resolved", "sla.breach.*", "sla.*"]
InvoiceType = Literal["invoice.generated", "invoice.paid", "invoice.*", "payment.failed", "payment.*"]

Data = TypeVar("Data", bound="Row")


class Options(TypedDict, total=False):
    """Of `Router.on`; it says what each means."""

    name: str | None
    when: Callable[[Event[Any]], bool] | None
    timeout: float
    max_attempts: int | None
    retries: int | None
    backoff: float | Sequence[float] | None
    delay: float
    key: str | Callable[[Event[Any]], object] | None
    concurrency: int | None
    rate: str | None
    debounce: float | None
    at_most: float | None
    keep: Literal["last", "first"]
    newest: str | None
    ordered: bool
    on_dead: Literal["continue", "stop"]
    isolated: bool
    reconciled: bool
    unlisted: bool


class Register(Protocol[Data]):
    """The decorator. Data: the model of what the events are about."""

    @overload
    def __call__(self, function: "Callable[[Event[Data]], None]") -> "Callable[[Event[Data]], None]": ...
    @overload
    def __call__(self, function: "Callable[[Event[Data], Zyra], None]") -> "Callable[[Event[Data], Zyra], None]": ...
    @overload
    def __call__(
        self, function: "Callable[[Event[Data]], Awaitable[None]]"
    ) -> "Callable[[Event[Data]], Awaitable[None]]": ...
    @overload
    def __call__(
        self, function: "Callable[[Event[Data], AsyncZyra], Awaitable[None]]"
    ) -> "Callable[[Event[Data], AsyncZyra], Awaitable[None]]": ...
