from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from workers.zyra.models import AuditEntry, Endpoint, Invoice, Row, SsoConfig, VirtualServer


def test_a_row_keeps_every_field_and_knows_some() -> None:
    row = Invoice(
        {"id": "inv_1", "total": Decimal("48.00"), "subtotal": "40.00", "tax_amount": 8, "new": [1],
         "period_start": "2026-11-01", "invoice_number": "INV-2026-0001"}
    )  # fmt: skip

    assert (row.id, row.total, row.subtotal, row.tax_amount) == (
        "inv_1",
        Decimal("48.00"),
        Decimal("40.00"),
        Decimal(8),
    )
    assert row.total == (row.subtotal or 0) + (row.tax_amount or 0)
    assert row.period_start == datetime(2026, 11, 1)
    assert row["new"] == [1]
    assert row.period_end is None


@pytest.mark.parametrize("value", [None, True, [], {}, "x", "NaN", "Infinity", 1.5])
def test_what_is_no_amount_is_none(value: Any) -> None:
    assert VirtualServer(cost_per_hour=value).cost_per_hour is None


@pytest.mark.parametrize(("value", "expected"), [(2, 2), ("4096", 4096), ("1.5", None), ("1e40", None), (None, None)])
def test_whole_numbers(value: Any, expected: int | None) -> None:
    assert VirtualServer(memory_mb=value).memory_mb == expected


def test_other_kinds_of_fields() -> None:
    entry = AuditEntry(success=True, created_at="2026-11-25T10:00:00Z", details={"a": 1})
    assert (entry.success, entry.created_at, entry.details) == (True, datetime(2026, 11, 25, 10, tzinfo=UTC), {"a": 1})
    assert (AuditEntry(success=1, created_at=5, details=[]).success, AuditEntry(created_at="x").created_at) == (
        None,
        None,
    )
    assert Endpoint(events=["a"], url=5).events == ["a"]
    assert Endpoint(events=["a", 5]).events is None
    assert SsoConfig(attribute_mapping=[], auto_provision_users="yes").attribute_mapping is None
    assert Row(name="a", status=None).name == "a"
    assert type(Row.name).__name__ == "Field"
