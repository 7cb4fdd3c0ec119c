"""Archives each invoice as JSON and PDF in ARCHIVE_DIR, once it is issued, and checks its sum.

https://getzyra.io/documentation/user-guides/organization/stage-3/06-billing-and-invoices
"""

import json
import os
from pathlib import Path

from workers import Event, GiveUp, RetryLater, Router, Zyra

from .environment import needed

router = Router()
FOLDER = Path(needed("ARCHIVE_DIR", "a folder for invoices, which all workers share"))
DRAFT = 3600.0  # seconds until a draft is looked at again


@router.on("invoice.generated", reconciled=True)
@router.on("invoice.paid", name="workers.handlers.archive_invoices.archive_paid", reconciled=True)
def archive(event: Event, zyra: Zyra) -> None:
    invoice = zyra.invoices.get(event.resource_id)
    number = invoice.invoice_number or str(invoice.id)
    if invoice.status == "draft":
        raise RetryLater(DRAFT, f"{number} is still a draft")
    if None in (invoice.total, invoice.subtotal) or invoice.total != (invoice.subtotal or 0) + (
        invoice.tax_amount or 0
    ):
        raise GiveUp(f"{number}: {invoice.total} is not {invoice.subtotal} and {invoice.tax_amount} of tax: look at it")
    if not number.replace("-", "").isalnum():
        raise GiveUp(f"{number!r} is no name for a file")
    zyra.invoices.pdf(event.resource_id, FOLDER / f"{number}.pdf")
    new = FOLDER / f".{number}.json"
    new.write_text(json.dumps(invoice, default=str, indent=1))
    os.replace(new, FOLDER / f"{number}.json")
