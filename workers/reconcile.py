"""What Zyra's API says against the last events that we heard: which webhooks never came. Pure; `cli/reconcile.py` asks.

https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks has the types; statuses that no page
states are taken as their events are called.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of resource. types: the event that tells of a status, by status; gone: of what is there no more.

    same: statuses of which an event of another type may have told.
    """

    areas: tuple[str, ...]
    prefixes: tuple[str, ...]
    types: Mapping[str, str]
    same: Mapping[str, tuple[str, ...]]
    gone: str = ""


FAMILIES = {
    "virtual servers": Family(
        areas=("virtual_servers",),
        prefixes=("virtual_server.",),
        types={
            "running": "virtual_server.started", "stopped": "virtual_server.stopped",
            "terminated": "virtual_server.terminated", "error": "virtual_server.error",
        },
        same={"running": ("virtual_server.created",)},
        gone="virtual_server.terminated",
    ),
    "devices": Family(
        areas=("devices",),
        prefixes=("device.",),
        types={"online": "device.online", "active": "device.online", "offline": "device.offline"},
        same={"online": ("device.approved",), "active": ("device.approved",)},
        gone="device.removed",
    ),
    "jobs": Family(
        areas=("ml_jobs", "inference", "fine_tuning_jobs"),
        prefixes=("job.",),
        types={
            "queued": "job.queued", "running": "job.started", "started": "job.started", "completed": "job.completed",
            "failed": "job.failed",
        },
        same={},
    ),
    "invoices": Family(
        areas=("invoices",),
        prefixes=("invoice.", "payment."),
        types={"issued": "invoice.generated", "paid": "invoice.paid"},
        same={"issued": ("payment.failed",), "draft": ("invoice.generated",)},
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gap:
    """type: of the event that never came. heard: the type of the last one that did, or "" if we know none."""

    family: str
    resource: str
    status: str
    type: str
    heard: str
    row: Mapping[str, Any]


def last_heard(events: Iterable[Event]) -> dict[tuple[str, str], str]:
    """The type of the last event of each resource, by family and id; events come newest first."""
    found: dict[tuple[str, str], str] = {}
    for event in events:
        family = next((name for name, one in FAMILIES.items() if event.type.startswith(one.prefixes)), "")
        if family and event.resource_id:
            found.setdefault((family, event.resource_id), event.type)
    return found


def compare(family: str, rows: Iterable[Mapping[str, Any]], heard: Mapping[tuple[str, str], str]) -> Iterator[Gap]:
    """Where what is told of a family's resources is not what we heard last of them."""
    one, there = FAMILIES[family], set()
    for row in rows:
        name, status = str(row.get("id", "")), str(row.get("status", ""))
        there.add(name)
        kind, last = one.types.get(status, ""), heard.get((family, name), "")
        if kind and name and last != kind and last not in one.same.get(status, ()):
            yield Gap(family=family, resource=name, status=status, type=kind, heard=last, row=row)
    for (other, name), last in heard.items():
        if other == family and one.gone and name not in there and last != one.gone:
            yield Gap(family=family, resource=name, status="gone", type=one.gone, heard=last, row={"id": name})
