"""zyra-receiver events reconcile"""

import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from receiver.contract.errors import SealError, Unreadable
from receiver.contract.keys import make_event_id
from receiver.contract.records import Acceptance, Content, EventRecord, Labels, pack_acceptances
from receiver.contract.scripts import build_arguments, compose_script
from receiver.contract.seal import Seal

from ...errors import RetryLater
from ...event import Event, make_event
from ...handler import RECONCILED
from ...ledger import query
from ...ledger.transitions import Ledger
from ...monitoring.reconciliation import FAMILIES, Gap, Heard, compare, find_family, find_heard, find_unlisted
from ...zyra import Zyra, ZyraError, calls
from ...zyra.errors import NotFound
from ...zyra.models import Row
from ...zyra.transport import run
from ..access import list_all, open_client, open_ledger, wait_for_budget
from ..errors import CommandFailed
from ..output import print_json, print_line, print_note, print_table

FILLED_MS = 7 * 86_400_000  # for which a gap that was filled is not filled again


class NoIds(Exception):
    """The resources of a list have no ids."""


def reconcile(
    backfill: Annotated[bool, typer.Option(help="Create the missing events, with origin `reconciled`.")] = False,
    unheard: Annotated[bool, typer.Option(help="Include resources of which the ledger has no event.")] = False,
    source: Annotated[str, typer.Option(help="Name of Zyra's source.")] = "zyra",
    most: Annotated[int, typer.Option(min=1, help="Maximum number of events that are compared, newest first.")] = 5000,
    settle: Annotated[float, typer.Option(min=0, help="Seconds to wait for webhooks that are under way.")] = 10.0,
    as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> int:
    """Find webhooks that never came: compare Zyra's API with the last events. Exits with 1 if any is missing."""
    ledger, config = open_ledger()
    began, events = time.time(), list(read(ledger, config.seal, query.Filter(source=source, limit=most)))
    ours = [event for event in events if find_family(event.type)]
    if ours and not any(event.resource_id for event in ours):
        raise CommandFailed(
            f"none of the last {len(ours)} events tells the id of its resource, so nothing can be compared: say where "
            f'it stands, in RECEIVER_CONFIG under [sources.{source}]: resource_id = ["data.id"]'
        )
    heard, gaps, missed = find_heard(events), [], 0
    with closing(open_client()) as zyra:
        for family in FAMILIES:
            try:
                gaps += list(find_gaps(zyra, family, heard))
            except (ZyraError, RetryLater, NoIds) as error:
                missed += 1
                advice = f": {error.advice}" if isinstance(error, ZyraError) else ""
                print_note(f"{family} could not be compared: {error}{advice}")
    shown = [gap for gap in gaps if gap.heard or unheard]
    if shown:
        time.sleep(settle)
        meanwhile = find_heard(read(ledger, config.seal, query.Filter(source=source, limit=most, since=began - settle)))
        shown = [gap for gap in shown if (gap.family, gap.resource) not in meanwhile]
    outcomes = {gap: backfill_event(ledger, config.seal, source, gap) for gap in shown} if backfill else {}
    print_gaps(shown, outcomes, as_lines)
    if not as_lines:
        rest = sum(not gap.heard for gap in gaps) if not unheard else 0
        more = f". {rest} more resources have no event in the ledger; show them with --unheard" if rest else ""
        print_line(f"{len(shown)} events missing{more}")
    return 1 if missed or (shown and not backfill) else 0


def read(ledger: Ledger, seal: Seal, wanted: query.Filter) -> Iterator[Event]:
    """Events, newest first, as far as they can be read."""
    for record in query.search(ledger, wanted):
        try:
            yield make_event(query.open_event(ledger, seal, record["id"]))
        except (SealError, Unreadable):
            continue


def find_gaps(zyra: Zyra, family: str, heard: Mapping[tuple[str, str], Heard]) -> Iterator[Gap]:
    """Raises ZyraError, and NoIds."""
    rows = [
        row for one in FAMILIES[family].lists for row in list_all(zyra, calls.make_listed_call(zyra.caller.routes[one]))
    ]
    if rows and not any(map(calls.read_row_id, rows)):
        raise NoIds(f"Zyra lists {family} without ids, so they cannot be compared: `api check` says what has changed")
    yield from compare(family, rows, heard)
    yield from (gap for gap in find_unlisted(family, rows, heard) if is_gone(zyra, gap))


def is_gone(zyra: Zyra, gap: Gap) -> bool:
    """Whether the API says that the resource is gone."""
    family = FAMILIES[gap.family]
    if gap.resource in (".", ".."):
        return False  # no thing has such an id
    call = calls.make_listed_call(zyra.caller.routes[family.get], (gap.resource,))
    try:
        row: Row = wait_for_budget(lambda: run(zyra.caller.fetch_row(call), zyra.http))
    except NotFound as error:
        return bool(error.code or error.message)  # else it is not the API's own word, but some proxy's
    return family.types.get(row.state) == family.gone


def backfill_event(ledger: Ledger, seal: Seal, source: str, gap: Gap) -> str:
    """Puts the missing event into the ledger and the queue, once: its id, or that of the one that was made before."""
    moment = int(time.time() * 1000)
    body = {
        "id": f"evt_reconciled_{gap.resource}_{gap.status}",
        "event": gap.type,
        "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "data": dict(gap.row),
    }
    labels = Labels(id=make_event_id(moment), source=source, type=gap.type, received_at=moment, origin=RECONCILED)
    content = Content(body=calls.encode(body))
    mark = hashlib.sha256(
        f"{gap.family} {gap.resource} {gap.type} {gap.heard.id if gap.heard else ''}".encode()
    ).hexdigest()[:32]
    key, sealed = seal.close(EventRecord(labels=labels, content=content))
    acceptance = Acceptance(labels=labels, key=key, mark=f"{source}:r:{mark}", window_ms=FILLED_MS)
    values = build_arguments(ledger.keys, 10**9, pack_acceptances([acceptance]), sealed)
    verdict, name = ledger.client.eval(compose_script("receiver", "accept.lua"), *values)
    return f"{verdict.decode()} {name.decode()}"


def print_gaps(gaps: list[Gap], outcomes: Mapping[Gap, str], as_lines: bool) -> None:
    if as_lines:
        for gap in gaps:
            print_json(
                {"family": gap.family, "resource": gap.resource, "status": gap.status, "missing": gap.type,
                 "heard": find_last_type(gap) or None, "backfilled": outcomes.get(gap)}
            )  # fmt: skip
        return
    cells = [
        [gap.family, gap.resource, gap.status, gap.type, find_last_type(gap) or "nothing", outcomes.get(gap, "-")]
        for gap in gaps
    ]
    print_table(("WHAT", "ID", "STATUS NOW", "MISSING", "HEARD LAST", "BACKFILLED"), cells)


def find_last_type(gap: Gap) -> str:
    return gap.heard.type if gap.heard else ""
