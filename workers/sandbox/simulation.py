"""What happens at Zyra without a call: devices fall silent, servers fail, months end, and what follows of that.

`happens` is the cause: `sandbox trigger` says it, or it is drawn from the seed. Breaches, payments and the steps of
jobs follow by themselves.
"""

import asyncio
import random
from datetime import UTC, datetime
from decimal import Decimal

from .catalogue import CHANGES
from .compute import Compute
from .rows import Row, Rows, fill, make_blank
from .state import format_now

EVALUATION_MINUTES = 5  # between two looks at the agreements
PREFIXES = {"devices": "dev", "virtual_servers": "vs", "breaches": "br", "invoices": "inv", "ml_jobs": "job"}
SPONTANEOUS_TYPES = (
    *(kind for kind in CHANGES if kind.startswith(("device.", "virtual_server."))),
    "job.queued",
    "invoice.generated",
)  # fmt: skip - all else follows of them
FAILURE_SHARE = 0.25  # of all jobs and payments fail
CENT = Decimal("0.01")


class Simulation:
    def __init__(self, machines: Compute, minute: float, draw: random.Random) -> None:
        self._machines = machines
        self._state = machines.state
        self._minute = minute
        self._draw = draw

    def trigger(self, kind: str, fields: Row) -> int:
        """Changes a resource and sends the event. Returns how many endpoints get it.

        fields: of the resource; without an id, one is chosen that is ready for this event.

        Raises ValueError where a thing of this kind has no such fields.
        """
        area, before, after = CHANGES[kind]
        name = str(fields.get("id") or self._ready(area, before) or self._state.name(PREFIXES[area]))
        rows = self._rows(area, name)
        self._machines.charge()
        new = self._bill() if kind == "invoice.generated" and name not in rows else {}
        changed = fill(area, name, {**new, **rows.get(name, {}), **fields, "id": name, "status": after})
        row = rows.setdefault(name, {})
        row.update(changed)
        self._start_consequences(kind, row, rows)
        return self._machines.webhooks.tell(kind, dict(row))

    def _ready(self, area: str, before: str) -> str:
        """A thing to which this can happen, or "" where one has to be made for it."""
        rows = self._state.areas[area]
        return next((name for name, row in rows.items() if before and row["status"] == before), "")

    def _rows(self, area: str, name: str) -> Rows:
        """Those that have the name: a job is one of three families."""
        families = ("ml_jobs", "inference", "fine_tuning_jobs") if area == "ml_jobs" else (area,)
        return next(
            (self._state.areas[one] for one in families if name in self._state.areas[one]), self._state.areas[area]
        )

    def _start_consequences(self, kind: str, row: Row, rows: Rows) -> None:
        if kind == "device.removed":
            del rows[row["id"]]
        elif kind in ("job.queued", "job.started"):
            self._machines.start_later(self._machines.work(row))
        elif kind == "invoice.generated":
            row["status"] = "draft" if self._machines.shape.invoice == "draft" else "issued"
            self._machines.start_later(self._pay(row))
        elif kind.startswith("virtual_server."):
            self._state.stopped.discard(row["id"])  # nobody wanted it to stand still
            if row["status"] == "running":
                row["started_at"] = format_now()

    # --- invoices: https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices

    def _bill(self) -> Row:
        """What the servers have cost, with the organization's tax."""
        areas, now = self._state.areas, datetime.now(UTC)
        costs = sum(Decimal(row["total_cost"]) for row in areas["virtual_servers"].values())
        rates = [Decimal(row["settings"].get("tax_rate", "0")) for row in areas["organizations"].values()]
        subtotal = Decimal(costs).quantize(CENT)
        tax = (subtotal * (rates or [Decimal(0)])[0]).quantize(CENT)
        begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return {
            "subtotal": str(subtotal), "tax_amount": str(tax), "total": str(subtotal + tax), "currency": "USD",
            "period_start": begin.isoformat(), "period_end": now.isoformat(),
        }  # fmt: skip

    async def _pay(self, invoice: Row) -> None:
        """A minute for each step. card = "declined" lets the first payment fail."""
        await asyncio.sleep(self._minute)
        if invoice["status"] == "draft":
            invoice["status"] = "issued"
            await asyncio.sleep(self._minute)
        if invoice.pop("card", "") == "declined":
            self._machines.change_status(invoice, invoice["status"], "payment.failed")
            await asyncio.sleep(self._minute)
        if invoice["status"] == "issued":
            self._machines.change_status(invoice, "paid", "invoice.paid")

    # --- service levels: https://getzyra.io/documentation/user-guides/organization/stage-3/02-sla-alerts

    def evaluate(self) -> None:
        """A server that does not run although it should is a breach, until it does or is gone."""
        servers, breaches = self._state.areas["virtual_servers"], self._state.areas["breaches"]
        down = {name for name, row in servers.items() if row["status"] in ("error", "stopped")} - self._state.stopped
        known = {str(row.get("virtual_server_id")): row for row in breaches.values() if row["status"] == "open"}
        for name in sorted(down - known.keys()):
            new = self._state.name("br")
            breaches[new] = make_blank("breaches", new) | {"virtual_server_id": name, "started_at": format_now()}
            self._machines.change_status(breaches[new], "open", "sla.breach.started")
        for name, row in known.items():
            if name in servers and name not in down:
                row["resolved_at"] = format_now()
                self._machines.change_status(row, "resolved", "sla.breach.resolved")

    # --- time

    async def run(self, rate: float) -> None:
        """For ever. rate: how many things a minute happen by chance."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            if rate:
                tasks.create_task(self._trigger_by_chance(self._minute / rate))

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(EVALUATION_MINUTES * self._minute)
            self.evaluate()

    async def _trigger_by_chance(self, apart: float) -> None:
        """apart: seconds, on average."""
        while True:
            await asyncio.sleep(self._draw.expovariate(1 / apart))
            kind = self._draw.choice(SPONTANEOUS_TYPES)
            area, before, _ = CHANGES[kind]
            if not before or self._ready(area, before):
                fields = {
                    "job.queued": {"fail": self._draw.random() < FAILURE_SHARE},
                    "invoice.generated": self._card(),
                }
                self.trigger(kind, fields.get(kind, {}))

    def _card(self) -> Row:
        return {"card": "declined"} if self._draw.random() < FAILURE_SHARE else {}
