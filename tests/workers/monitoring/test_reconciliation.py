from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from workers import Event
from workers.monitoring.reconciliation import compare, find_heard, find_unlisted

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def event(kind: str, resource: str = "a", ago: float = 0.0) -> Event:
    return Event(
        id=f"evt_{kind}_{ago}", source="zyra", type=kind, payload={}, resource_id=resource, body=b"", headers={},
        received_at=NOW - timedelta(seconds=ago),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("family", "row", "heard", "missing"),
    [
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.created", None),
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.started", None),
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.stopped", "virtual_server.started"),
        ("virtual servers", {"id": "a", "status": "error"}, "virtual_server.started", "virtual_server.error"),
        ("virtual servers", {"id": "a", "status": "error"}, "", "virtual_server.error"),
        ("virtual servers", {"id": "a", "status": "ERROR"}, "", "virtual_server.error"),
        ("virtual servers", {"id": "a", "status": "starting"}, "virtual_server.stopped", None),
        ("devices", {"id": "a", "status": "active"}, "device.approved", None),
        ("devices", {"id": "a", "status": "offline"}, "device.online", "device.offline"),
        ("jobs", {"id": "a", "status": "completed"}, "job.started", "job.completed"),
        ("jobs", {"id": "b", "status": "cancelled"}, "job.started", None),
        ("invoices", {"id": "a", "status": "paid"}, "payment.failed", "invoice.paid"),
        ("invoices", {"id": "a", "status": "issued"}, "payment.failed", None),
        ("invoices", {"status": "paid"}, "", None),
        ("breaches", {"id": "a", "status": "resolved"}, "sla.breach.started", "sla.breach.resolved"),
    ],
)
def test_what_never_came(family: str, row: dict[str, Any], heard: str, missing: str | None) -> None:
    """The last event of resource `a` is known, or none is."""
    found = list(compare(family, [row], find_heard([event(heard)] if heard else [])))

    assert [gap.type for gap in found] == ([missing] if missing else [])


def test_an_id_may_be_a_number() -> None:
    told = find_heard([event("device.online", "5")])

    assert list(compare("devices", [{"id": 5, "status": "online"}], told)) == []
    assert list(find_unlisted("devices", [{"id": 5, "status": "online"}], told)) == []
    assert [gap.resource for gap in compare("devices", [{"id": 5, "status": "offline"}], told)] == ["5"]


@pytest.mark.parametrize(
    ("family", "status", "events", "missing"),
    [
        ("jobs", "failed", [("job.started", 0), ("job.failed", 600)], False),  # an end is the end, whenever it came
        ("devices", "offline", [("device.online", 0), ("device.offline", 30)], False),
        ("devices", "offline", [("device.online", 0), ("device.offline", 600)], True),
    ],
)
def test_webhooks_may_have_come_in_another_order(
    family: str, status: str, events: list[tuple[str, float]], missing: bool
) -> None:
    told = find_heard([event(kind, ago=ago) for kind, ago in events])

    assert bool(list(compare(family, [{"id": "a", "status": status}], told))) is missing


def test_what_is_not_listed_any_more() -> None:
    told = find_heard([event("device.online"), event("device.removed", "b"), event("job.queued", "c")])

    assert [(gap.resource, gap.type) for gap in find_unlisted("devices", [], told)] == [("a", "device.removed")]
    assert list(find_unlisted("devices", [{"id": "a"}], told)) == []
    late = find_heard([event("virtual_server.stopped", "d"), event("virtual_server.terminated", "d", ago=600)])
    assert list(find_unlisted("virtual servers", [], late)) == []  # a retry of what was told before the end
    assert list(find_unlisted("jobs", [], told)) == []
