"""Archives each invoice as JSON and PDF in ARCHIVE_DIR, once it is issued, and checks its sum.

https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices
"""

import json
from pathlib import Path

from workers import Event, GiveUp, RetryLater, Router, Zyra

from .environment import read_seconds, require

router = Router()
FOLDER = Path(require("ARCHIVE_DIR", "a folder for invoices, which all workers share"))
DRAFTS = ("draft", "drafted", "preparing")
ISSUED = (
    "issued", "paid", "open", "sent", "due", "unpaid", "overdue", "past_due", "finalized", "final", "pending",
    "partially_paid", "refunded", "void", "voided", "cancelled", "canceled", "uncollectible",
)  # fmt: skip
DRAFT = read_seconds("DRAFT_WAIT", 3600)  # until a draft is looked at again


@router.on("invoice.generated", reconciled=True)
@router.on("invoice.paid", name="workers.handlers.archive_invoices.archive_paid", reconciled=True)
def archive(event: Event, zyra: Zyra) -> None:
    if not event.resource_id:
        raise GiveUp("the event names no invoice: say where its id is by `resource_id` of the source")
    invoice = zyra.invoices.get(event.resource_id)
    number = invoice.invoice_number or event.resource_id
    if invoice.state in DRAFTS:
        raise RetryLater(DRAFT, f"{number} is still a draft")
    if invoice.state not in ISSUED:
        raise GiveUp(f"{number} is in state {invoice.state!r}, which is not known: look at it")
    if None in (invoice.total, invoice.subtotal) or invoice.total != (invoice.subtotal or 0) + (
        invoice.tax_amount or 0
    ):
        raise GiveUp(f"{number}: {invoice.total} is not {invoice.subtotal} and {invoice.tax_amount} of tax: look at it")
    if not number.replace("-", "").replace("_", "").isalnum():
        raise GiveUp(f"{number!r} is no name for a file")
    new = FOLDER / f".{number}.{event.key[:8]}"  # two events of an invoice may be at work at once
    try:
        zyra.invoices.pdf(event.resource_id, new)
        new.replace(FOLDER / f"{number}.pdf")
        new.write_text(json.dumps(invoice, default=float, indent=1))
        new.replace(FOLDER / f"{number}.json")
    finally:
        new.unlink(missing_ok=True)
