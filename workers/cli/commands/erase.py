"""zyra-receiver events erase"""

from receiver.contract.body import read_json
from receiver.contract.errors import SealError, Unreadable
from receiver.contract.payload_paths import find_value
from receiver.contract.seal import Seal

from ...ledger import query
from ...ledger.transitions import Ledger
from ...monitoring.search import find_events
from ..access import open_ledger
from ..event_filters import Dry, Ids, Limit, Resource, Where, read_where, require_selection
from ..output import cut, print_line
from ..refusals import list_refusals, open_captured


def erase(
    ids: Ids = None, resource: Resource = "", where: Where = "", dry_run: Dry = False, limit: Limit = 1000
) -> int:
    """Delete events of a person or a thing with all that is kept of them: body, runs, calls, captures, reasons."""
    place = read_where(where, resource)
    require_selection(False, ids, place)
    ledger, config = open_ledger()
    wanted = query.Filter(where=place, limit=limit + 1)
    chosen = ids or [event["id"] for event in cut(find_events(ledger, config.seal, wanted), limit)]
    kept, captures = 0, 0
    for event in chosen:
        body = read_body(ledger, config.seal, event)
        outcome = ledger.erase(event, dry_run=dry_run)
        if outcome == "erased" and body is not None and not dry_run:
            captures += forget_refusals_of(ledger, config.seal, body)
        kept += outcome != "erased"
        print_line(f"{event}: {'would be ' if dry_run and outcome == 'erased' else ''}{outcome}")
    if place and not dry_run:
        captures += forget_captures_with(ledger, config.seal, *place)
    if captures:
        print_line(f"{captures} refused deliveries erased")
    if not chosen and not captures:
        print_line("no event fits")
    return 1 if kept else 0


def read_body(ledger: Ledger, seal: Seal, event: str) -> bytes | None:
    """The body, where there is one that opens."""
    try:
        return query.open_event(ledger, seal, event).content.body
    except SealError:
        return None


def forget_refusals_of(ledger: Ledger, seal: Seal, body: bytes) -> int:
    """Deletes refusals of the same body: how many."""
    digest = seal.fingerprint(body)
    found = [(key, text) for key, text, one in list_refusals(ledger) if one.get("body_digest") == digest]
    return sum(ledger.client.lrem(key, 0, text) for key, text in found)


def forget_captures_with(ledger: Ledger, seal: Seal, path: str, value: str) -> int:
    """Deletes refusals in whose captured body the value stands at the path: how many."""
    deleted = 0
    for key, text, one in list_refusals(ledger):
        try:
            body = open_captured(one, seal)
            if body is not None and find_value(read_json(body), "", path) == value:
                deleted += ledger.client.lrem(key, 0, text)
        except (SealError, ValueError, Unreadable):
            continue  # no key of ours opens it, or it is no JSON: nobody can read the value
    return deleted
