"""zyra-receiver events reconcile"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from receiver.contract.errors import SealError
from receiver.contract.keys import event_id
from receiver.contract.records import Content, Labels
from receiver.contract.records import Event as Sealed
from receiver.contract.scripts import arguments, source
from receiver.contract.seal import Seal

from .. import query
from ..errors import Unreadable
from ..event import Event, event
from ..ledger import Ledger
from ..reconcile import FAMILIES, Gap, compare, last_heard
from ..router import RECONCILED
from ..zyra import Zyra, ZyraError, calls
from .api import client, listed
from .output import as_json, line, table

WEEK = 7 * 86_400_000  # milliseconds for which a gap that was filled is not filled again
SOURCE = "zyra"


def reconcile(
    backfill: Annotated[bool, typer.Option(help="Make the missing events, of origin reconciled.")] = False,
    unheard: Annotated[bool, typer.Option(help="Also of what the ledger knows no event of, or none any more.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Events of the ledger that are looked at, newest first.")] = 5000,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Which webhooks never came: what Zyra's API says against the last events. Exits with 1 where there is a gap."""
    from .events import ledger

    kept, found = ledger()
    heard = last_heard(known(kept, found.seal, most))
    gaps = []
    try:
        with closing(client()) as zyra:
            for family in FAMILIES:
                gaps += list(compare(family, rows(zyra, family), heard))
    except ZyraError as error:
        line(f"Zyra refused: {error}: {error.advice}")
        return 1
    shown = [gap for gap in gaps if gap.heard or unheard]
    made = {gap: fill(kept, found.seal, gap) for gap in shown} if backfill else {}
    tell(shown, made, as_lines)
    if not as_lines:
        rest = len(gaps) - len(shown)
        line(f"{len(shown)} missing" + (f"; {rest} of which the ledger knows nothing: --unheard" if rest else ""))
    return 1 if shown and not backfill else 0


def known(kept: Ledger, seal: Seal, most: int) -> Iterator[Event]:
    """Events of the source, newest first, as far as they can be read."""
    for told in query.search(kept, query.Filter(source=SOURCE, limit=most)):
        try:
            yield event(query.opened(kept, seal, told["id"]))
        except (SealError, Unreadable):
            continue


def rows(zyra: Zyra, family: str) -> Iterator[Mapping[str, Any]]:
    for area in FAMILIES[family].areas:
        yield from listed(zyra, calls.call(zyra.terms.routes[f"{area}.list"]))


def fill(kept: Ledger, seal: Seal, gap: Gap) -> str:
    """Puts the missing event into the ledger and the queue, once: its id, or that of the one that was made before."""
    moment = int(time.time() * 1000)
    body = {
        "id": f"evt_reconciled_{gap.resource}_{gap.status}",
        "event": gap.type,
        "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "data": dict(gap.row),
    }
    labels = Labels(
        id=event_id(moment), source=SOURCE, type=gap.type, received_at=moment, delivery_id="", origin=RECONCILED
    )
    content = Content(body=json.dumps(body, default=str).encode())
    mark = hashlib.sha256(f"{gap.family} {gap.resource} {gap.type} {gap.heard}".encode()).hexdigest()[:32]
    values: list[str | int] = [labels.id, f"{SOURCE}:r:{mark}", WEEK, "", 0, SOURCE, gap.type, moment, "", RECONCILED]
    flat = arguments(kept.keys, 10**9, *values, *seal.close(Sealed(labels=labels, content=content)))
    verdict, name = kept.client.eval(source("receiver", "accept.lua"), 0, *flat)
    return f"{verdict.decode()} {name.decode()}"


def tell(gaps: list[Gap], made: Mapping[Gap, str], as_lines: bool) -> None:
    if as_lines:
        for gap in gaps:
            as_json(
                {"family": gap.family, "resource": gap.resource, "status": gap.status, "missing": gap.type,
                 "heard": gap.heard or None, "backfilled": made.get(gap)}
            )  # fmt: skip
        return
    cells = [
        (gap.family, gap.resource, gap.status, gap.type, gap.heard or "nothing", made.get(gap, "-")) for gap in gaps
    ]
    table(("WHAT", "ID", "STATUS NOW", "MISSING", "HEARD LAST", "BACKFILLED"), cells)
