"""Finds missing webhooks: compares what Zyra's API lists with the last events. Makes no request itself.

https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks has the types; statuses that no page
states are taken as their events are called.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..event import Event
from ..handler import RECONCILED
from ..zyra.calls import read_row_id
from ..zyra.models import read_state

REORDER_SECONDS = 60.0  # within which two webhooks may have come in the other order


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of resource. lists: calls that list it; types: the event that tells of a status, by status.

    same: statuses of which an event of another type may have told. ends: types after which nothing comes, so that one
    which was heard at all was heard last. gone: of what is there no more; get: the call that finds out whether it is.
    """

    lists: tuple[str, ...]
    prefixes: tuple[str, ...]
    types: Mapping[str, str]
    same: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ends: tuple[str, ...] = ()
    gone: str = ""
    get: str = ""


FAMILIES = {
    "virtual servers": Family(
        lists=("virtual_servers.list",),
        prefixes=("virtual_server.",),
        types={
            "running": "virtual_server.started", "stopped": "virtual_server.stopped",
            "terminated": "virtual_server.terminated", "error": "virtual_server.error",
        },
        same={"running": ("virtual_server.created",)},
        ends=("virtual_server.terminated",),
        gone="virtual_server.terminated",
        get="virtual_servers.get",
    ),
    "devices": Family(
        lists=("devices.list",),
        prefixes=("device.",),
        types={"online": "device.online", "active": "device.online", "offline": "device.offline",
               "removed": "device.removed"},
        same={"online": ("device.approved",), "active": ("device.approved",)},
        gone="device.removed",
        get="devices.get",
    ),
    "jobs": Family(
        lists=("ml_jobs.list", "inference.list", "fine_tuning_jobs.list"),
        prefixes=("job.",),
        types={
            "queued": "job.queued", "running": "job.started", "started": "job.started", "completed": "job.completed",
            "failed": "job.failed",
        },
        ends=("job.completed", "job.failed"),
    ),
    "invoices": Family(
        lists=("invoices.list",),
        prefixes=("invoice.", "payment."),
        types={"issued": "invoice.generated", "paid": "invoice.paid"},
        same={"issued": ("payment.failed",), "draft": ("invoice.generated",)},
        ends=("invoice.paid",),
    ),
    "breaches": Family(
        lists=("sla.breaches",),
        prefixes=("sla.",),
        types={"open": "sla.breach.started", "resolved": "sla.breach.resolved", "closed": "sla.breach.resolved"},
        ends=("sla.breach.resolved",),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the ledger knows of a resource. latest: types of the last event and of those just before it."""

    last: Event
    latest: frozenset[str]
    types: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gap:
    """type: of the event that never came. heard: the last one that did, if we know one."""

    family: str
    resource: str
    status: str
    type: str
    heard: Event | None
    row: Mapping[str, Any]


def find_family(kind: str) -> str:
    """The family of resources that events of this type are about, or ""."""
    return next((name for name, one in FAMILIES.items() if kind.startswith(one.prefixes)), "")


def find_heard(events: Iterable[Event]) -> dict[tuple[str, str], Heard]:
    """What was heard of each resource, by family and id; events come newest first."""
    grouped: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        family = find_family(event.type)
        if family and event.resource_id:
            grouped.setdefault((family, event.resource_id), []).append(event)
    return {name: summarize(several) for name, several in grouped.items()}


def summarize(events: list[Event]) -> Heard:
    last = events[0]
    delivered = [last, *(event for event in events[1:] if event.origin != RECONCILED)]  # what we made was in order
    latest = [event for event in delivered if (last.received_at - event.received_at).total_seconds() <= REORDER_SECONDS]
    return Heard(
        last=last,
        latest=frozenset(event.type for event in latest),
        types=frozenset(event.type for event in events),
    )


def compare(family: str, rows: Iterable[Mapping[str, Any]], heard: Mapping[tuple[str, str], Heard]) -> Iterator[Gap]:
    """Where what is listed of a family's resources is not what we heard last of them."""
    one = FAMILIES[family]
    for row in rows:
        resource, status = read_row_id(row), read_state(row)
        kind, before = one.types.get(status, ""), heard.get((family, resource))
        if kind and resource and not (before and is_told(one, kind, status, before)):
            last = before.last if before else None
            yield Gap(family=family, resource=resource, status=status, type=kind, heard=last, row=row)


def is_told(family: Family, kind: str, status: str, heard: Heard) -> bool:
    if kind in family.ends:
        return kind in heard.types
    return not heard.latest.isdisjoint({kind, *family.same.get(status, ())})


def find_unlisted(
    family: str, rows: Iterable[Mapping[str, Any]], heard: Mapping[tuple[str, str], Heard]
) -> Iterator[Gap]:
    """What we heard of and is not listed. It may still be there: pages shift while they are read."""
    one, there = FAMILIES[family], {read_row_id(row) for row in rows}
    for (other, resource), before in heard.items():
        if other == family and one.gone and resource not in there and not is_told(one, one.gone, "gone", before):
            yield Gap(
                family=family, resource=resource, status="gone", type=one.gone, heard=before.last, row={"id": resource}
            )
