from typing import Any

import pytest

from workers.reconcile import compare


@pytest.mark.parametrize(
    ("family", "row", "heard", "missing"),
    [
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.created", None),
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.started", None),
        ("virtual servers", {"id": "a", "status": "running"}, "virtual_server.stopped", "virtual_server.started"),
        ("virtual servers", {"id": "a", "status": "error"}, "virtual_server.started", "virtual_server.error"),
        ("virtual servers", {"id": "a", "status": "error"}, "", "virtual_server.error"),
        ("virtual servers", {"id": "a", "status": "starting"}, "virtual_server.stopped", None),
        ("virtual servers", {"id": "b", "status": "starting"}, "virtual_server.stopped", "virtual_server.terminated"),
        ("devices", {"id": "a", "status": "active"}, "device.approved", None),
        ("devices", {"id": "a", "status": "offline"}, "device.online", "device.offline"),
        ("jobs", {"id": "a", "status": "completed"}, "job.started", "job.completed"),
        ("jobs", {"id": "b", "status": "cancelled"}, "job.started", None),
        ("invoices", {"id": "a", "status": "paid"}, "payment.failed", "invoice.paid"),
        ("invoices", {"id": "a", "status": "issued"}, "payment.failed", None),
        ("invoices", {"status": "paid"}, "", None),
    ],
)
def test_what_never_came(family: str, row: dict[str, Any], heard: str, missing: str | None) -> None:
    """The last event of resource `a` is known, or none is."""
    found = list(compare(family, [row], {(family, "a"): heard} if heard else {}))

    assert [gap.type for gap in found] == ([missing] if missing else [])
