"""A row of each area: as it is where nothing else is said, and those that are there at every start."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from .resources import find_answer_type

DEMO_SERVER = "vs_0002"  # stands in error at every start
SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
TYPES = {"rules": "sla", "breaches": "sla.breaches", "alerts": "monitoring", "recommendations": "cost_advisor"}

Row = dict[str, Any]
Rows = dict[str, Row]


def make_blank(area: str, name: str) -> Row:
    """A row of an area as it is where nothing else is said."""
    money = {"subtotal": "0.00", "tax_amount": "0.00", "total": "0.00", "currency": "USD"}
    server = {"vcpus": 1, "memory_mb": 1024, "gpu": 0, "cost_per_hour": "0.10", "total_cost": "0.0000"}
    rest: Row = {
        "organizations": {"name": name, "settings": {}, "members": {}},
        "devices": {"status": "online", "capability_score": 0},
        "virtual_servers": {"status": "running", "name": name, **server},
        "ml_jobs": {"status": "queued", "name": name},
        "inference": {"status": "queued", "name": name},
        "fine_tuning_jobs": {"status": "queued", "name": name},
        "invoices": {"status": "issued", "invoice_number": f"INV-{datetime.now(UTC):%Y}-{find_number(name)}", **money},
        "rules": {"status": "active", "name": name},
        "breaches": {"status": "open"},
        "alerts": {"status": "open"},
        "recommendations": {"status": "open", "kind": "idle", "savings": "0.00"},
        "endpoints": {},
        "scim_users": {"userName": name, "schemas": [SCIM_USER], "active": True},
    }
    return {"id": name, **rest[area]}


def find_number(name: str) -> str:
    """The digits of an id, four at least."""
    return "".join(filter(str.isdecimal, name)).zfill(4)


def make_rows(area: str, states: dict[str, str], **common: Any) -> Rows:
    return {name: {**make_blank(area, name), "status": status, **common} for name, status in states.items()}


def make_servers() -> Rows:
    servers = make_rows("virtual_servers", {"vs_0001": "running", DEMO_SERVER: "error", "vs_0003": "stopped"})
    return {name: {**row, "name": f"demo-{name[-1]}", "vcpus": 2, "memory_mb": 4096} for name, row in servers.items()}


def make_invoices() -> Rows:
    money = {"subtotal": "40.00", "tax_amount": "8.00", "total": "48.00"}
    invoices = make_rows("invoices", {"inv_0001": "paid", "inv_0002": "issued"}, **money)
    return {name: {**row, "invoice_number": f"INV-2026-{name[-4:]}"} for name, row in invoices.items()}


def make_seeds() -> dict[str, Rows]:
    """What is there at the start, by area of the route table."""
    demo = {"name": "Demo", "settings": {"region": "eu", "tax_rate": "0.20"}}
    return {
        "organizations": {"org_0001": {**make_blank("organizations", "org_0001"), **demo}},
        "devices": make_rows(
            "devices", {"dev_0001": "online", "dev_0002": "offline", "dev_0003": "pending"}, capability_score=640
        ),
        "virtual_servers": make_servers(),
        "ml_jobs": make_rows("ml_jobs", {"job_0001": "completed"}, name="demo-train"),
        "inference": make_rows("inference", {"inf_0001": "running"}, name="demo-model"),
        "fine_tuning_jobs": make_rows("fine_tuning_jobs", {"ft_0001": "failed"}, name="demo-tune"),
        "invoices": make_invoices(),
        "rules": make_rows(
            "rules", {"rule_0001": "active"}, name="demo-1 CPU > 85 %", metric="cpu", threshold=85, minutes=5
        ),
        "breaches": make_rows("breaches", {"br_0001": "resolved"}, virtual_server_id="vs_0003"),
        "alerts": make_rows("alerts", {"al_0001": "open"}, metric="cpu", virtual_server_id="vs_0001"),
        "recommendations": make_rows("recommendations", {"rec_0001": "open", "rec_0002": "open"}, savings="12.40"),
        "audit_log": {},
        "scim_users": {},
        "endpoints": {},
    }


def fill(area: str, name: str, row: Any) -> Row:
    """The row with all that its area's rows have. Raises ValueError."""
    try:
        filled = {**make_blank(area, name), **msgspec.convert(row, Row), "id": name}
        resource = msgspec.convert(filled, find_answer_type(TYPES.get(area, area)))
    except msgspec.ValidationError as error:
        raise ValueError(f"{area}, {name}: {error}") from None
    if isinstance(begun := getattr(resource, "started_at", None), datetime):
        filled["started_at"] = begun.isoformat()  # in one of the forms that are read everywhere
    return filled
