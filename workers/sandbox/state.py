"""What the sandbox knows. Everything begins anew at each start but the endpoints and their secrets."""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEMO_SERVER = "vs_0002"  # stands in error at every start
MOST_ENDPOINTS = 10
# https://getzyra.io/documentation/user-guides/organization/stage-4/02-webhooks
CATALOGUE = (
    *(f"device.{what}" for what in ("online", "offline", "approved", "removed")),
    *(f"virtual_server.{what}" for what in ("created", "started", "stopped", "terminated", "error")),
    *(f"job.{what}" for what in ("queued", "started", "completed", "failed")),
    *("sla.breach.started", "sla.breach.resolved", "invoice.generated", "invoice.paid", "payment.failed"),
)

Row = dict[str, Any]


def servers() -> dict[str, Row]:
    states = {"vs_0001": "running", DEMO_SERVER: "error", "vs_0003": "stopped"}
    common = {"vcpus": 2, "memory_mb": 4096, "gpu": 0, "cost_per_hour": "0.10", "total_cost": "0.0000"}
    return {
        name: {"id": name, "name": f"demo-{name[-1]}", "status": status, **common} for name, status in states.items()
    }


def devices() -> dict[str, Row]:
    states = {"dev_0001": "online", "dev_0002": "offline", "dev_0003": "pending"}
    return {name: {"id": name, "status": status, "capability_score": 640} for name, status in states.items()}


def invoices() -> dict[str, Row]:
    money = {"subtotal": "40.00", "tax_amount": "8.00", "total": "48.00", "currency": "USD"}
    found = {"inv_0001": "paid", "inv_0002": "issued"}
    return {
        name: {"id": name, "invoice_number": f"INV-2026-{name[-4:]}", "status": status, **money}
        for name, status in found.items()
    }


@dataclass(slots=True)
class State:
    folder: Path
    api_key: str
    servers: dict[str, Row] = field(default_factory=servers)
    devices: dict[str, Row] = field(default_factory=devices)
    invoices: dict[str, Row] = field(default_factory=invoices)
    endpoints: dict[str, Row] = field(default_factory=dict)
    made: int = 3

    def load(self) -> None:
        if self.file.exists():
            self.endpoints = json.loads(self.file.read_text())

    @property
    def file(self) -> Path:
        return self.folder / "sandbox.json"

    def save(self) -> None:
        write_private(self.file, json.dumps(self.endpoints, indent=1))

    def add_endpoint(self, url: str, events: list[str], description: str) -> Row:
        """A new endpoint with its secret: 32 bytes, shown as 64 hex digits."""
        row: Row = {"id": f"whe_{secrets.token_hex(8)}", "url": url, "events": events, "description": description}
        row["secret"] = secrets.token_hex(32)
        self.endpoints[row["id"]] = row
        self.save()
        return row

    def demo_endpoint(self, url: str, events: list[str]) -> str:
        """The secret of the endpoint that `dev` listens on: the same at every start, though the port may differ."""
        row = next((row for row in self.endpoints.values() if row["description"] == "dev"), None)
        if row is None:
            row = self.add_endpoint(url, events, "dev")
        row["url"] = url
        self.save()
        return str(row["secret"])


def write_private(path: Path, text: str) -> None:
    """Writes the file whole, for its owner's eyes only."""
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    new.replace(path)
