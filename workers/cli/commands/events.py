"""zyra-receiver events"""

import time
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, Any

import typer

from receiver.contract.errors import ConfigurationError, SealError
from receiver.contract.keys import make_run_id
from receiver.contract.records import EventState
from receiver.contract.seal import Seal
from receiver.contract.settings import parse_duration

from ...ledger import query
from ...ledger.transitions import Ledger
from ...monitoring.search import find_events
from ..access import open_ledger
from ..errors import CommandFailed
from ..event_filters import (
    All,
    Dry,
    Ids,
    Json,
    Limit,
    OfError,
    OfHandler,
    Rate,
    Resource,
    Since,
    Source,
    State,
    Type,
    Until,
    Where,
    filter_by,
    require_selection,
)  # fmt: skip
from ..output import cut, print_json, print_line, print_table
from ..refusals import list_refusals, show_captured
from .archive import export, import_events
from .capture import capture
from .erase import erase
from .reconcile import reconcile
from .show import show

app = typer.Typer(add_completion=False, rich_markup_mode=None)


class Unanswered(StrEnum):
    HAPPENED = "happened"
    REPEAT = "repeat"


@app.command("list")
def list_events(
    state: State = None,
    type: Type = "",
    source: Source = "",
    since: Since = "",
    until: Until = "",
    handler: OfHandler = "",
    error: OfError = "",
    resource: Resource = "",
    where: Where = "",
    limit: Limit = 50,
    as_lines: Json = False,
) -> None:
    """List events, newest first."""
    wanted = filter_by(state, type, source, since, limit + 1, until, handler, error, resource, where)
    ledger, config = open_ledger()
    matches = cut(find_events(ledger, config.seal, wanted), limit)
    if as_lines:
        for event in matches:
            print_json(event)
        return
    head = ("RECEIVED", "ID", "SOURCE", "TYPE", "STATE", "RUNS")
    print_table(
        head,
        [(e["received_at"], e["id"], e["source"], e["type"], describe_state(e), describe_runs(e)) for e in matches],
    )


def describe_state(event: dict[str, Any]) -> str:
    return f"{event['state']} ({event['cause']})" if event["cause"] else str(event["state"])


def describe_runs(event: dict[str, Any]) -> str:
    return ", ".join(f"{run['handler']} {run['state']}" for run in event["runs"]) or "-"


@app.command()
def replay(
    ids: Ids = None,
    state: State = None,
    type: Type = "",
    source: Source = "",
    since: Since = "",
    limit: Limit = 1000,
    again: Annotated[bool, typer.Option(help="Also repeat runs that are done.")] = False,
    keep_calls: Annotated[bool, typer.Option(help="Do not repeat calls to Zyra that were answered.")] = False,
    unanswered: Annotated[
        Unanswered | None,
        typer.Option(help="With --keep-calls: whether calls without an answer happened, or are to be repeated."),
    ] = None,
    everything: All = False,
    dry_run: Dry = False,
    rate: Rate = 50.0,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log.")] = "",
) -> int:
    """Start dead runs again, with a fresh number of attempts."""
    if unanswered and not keep_calls:
        raise ConfigurationError(["--unanswered says something of the calls that --keep-calls keeps: give both"])
    require_selection(everything, ids, state, type, source, since)
    ledger, config = open_ledger()
    chosen = choose(ledger, ids, filter_by(state or EventState.DEAD, type, source, since, limit))

    def start_again(event: str) -> tuple[str, int]:
        words = seal_words(ledger, config.seal, event, unanswered) if unanswered else {}
        return ledger.replay(
            event, again=again, dry_run=dry_run, reason=reason, keep_calls=keep_calls, unanswered=words
        )

    return act_on_each(chosen, rate, start_again, dry_run)


def seal_words(ledger: Ledger, seal: Seal, event: str, answer: Unanswered) -> dict[str, bytes]:
    """What a person says of the event's calls without an answer, sealed, by run. Raises ConfigurationError."""
    from ...zyra import journal

    runs = [make_run_id(event, run["handler"]) for run in (query.show(ledger, event) or {"runs": []})["runs"]]
    try:
        return {run: journal.seal_word(ledger, seal, run, answer is Unanswered.HAPPENED) for run in runs}
    except SealError as error:
        raise ConfigurationError([f"cannot decrypt the API calls of {event}: {error}"]) from None


@app.command()
def discard(
    ids: Ids = None,
    type: Type = "",
    source: Source = "",
    since: Since = "",
    handler: OfHandler = "",
    limit: Limit = 1000,
    everything: All = False,
    dry_run: Dry = False,
    rate: Rate = 50.0,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log.")] = "",
) -> int:
    """Give up dead runs, and those that wait for a handler that no worker has. They are kept for KEEP_DONE.

    With --handler, only its runs.
    """
    if not reason:
        raise ConfigurationError(["--reason is needed: say why these events may be let go"])
    require_selection(everything, ids, type, source, since, handler)
    ledger, state = open_ledger()[0], None if handler else EventState.DEAD
    chosen = choose(ledger, ids, filter_by(state, type, source, since, limit, handler=handler))

    def give_up(event: str) -> tuple[str, int]:
        return ledger.discard(event, reason=reason, dry_run=dry_run, handler=handler)

    return act_on_each(chosen, rate, give_up, dry_run)


@app.command()
def purge(
    older: Annotated[str, typer.Option("--older", help="Only events that finished so long ago: 1h, 7d.")],
    dry_run: Dry = False,
) -> int:
    """Delete finished events before their time. Dead letters, marks and the audit log stay."""
    try:
        seconds = parse_duration(older)
    except ValueError as error:
        raise ConfigurationError([f"--older {error}"]) from None
    ledger, total = open_ledger()[0], 0
    while (purged := ledger.purge(seconds, dry_run=dry_run)) and not dry_run:
        total += purged
    print_line(f"{purged} events would be purged" if dry_run else f"{total} events purged")
    return 0


@app.command()
def explain(
    refusal: Annotated[str, typer.Argument(help="Id of a refusal; default: all of the last day.")] = "",
    source: Source = "",
    limit: Limit = 20,
    as_lines: Json = False,
) -> int:
    """Explain why deliveries were refused, newest first. One a second of each source is kept for a day."""
    ledger, config = open_ledger()
    refusals = [one for _, _, one in list_refusals(ledger) if one["at"] > time.time() - 86400]
    refusals.sort(key=lambda one: -one["at"])
    for one in refusals:
        show_captured(one, config.seal)
    chosen = [one for one in refusals if refusal in ("", one["id"]) and source in ("", one["source"])]
    chosen = list(cut(chosen, limit))
    if refusal and not chosen:
        raise CommandFailed(f"there is no refusal {refusal!r}, or not any more: they are kept for a day")
    if as_lines:
        for one in chosen:
            print_json(one)
    elif refusal:
        for name, value in chosen[0].items():
            print_line(f"{name}:", query.format_time(int(value * 1000)) if name == "at" else value)
    else:
        rows = [
            (query.format_time(int(one["at"] * 1000)), one["id"], one["source"], one["cause"], one["reason"])
            for one in chosen
        ]
        print_table(("REFUSED", "ID", "SOURCE", "CAUSE", "LIKELY REASON"), rows)
    return 0


app.command()(show)
app.command()(capture)
app.command()(reconcile)
app.command()(erase)
app.command()(export)
app.command("import")(import_events)


def choose(ledger: Ledger, ids: list[str] | None, wanted: query.Filter) -> list[str]:
    if ids:
        return ids
    found = query.search(ledger, replace(wanted, limit=wanted.limit + 1))
    return [event["id"] for event in cut(found, wanted.limit)]


def act_on_each(events: list[str], rate: float, act: Any, dry_run: bool) -> int:
    """Calls `act` for each event and prints the result. Returns 1 if some events could not be changed."""
    failed = 0
    for number, event in enumerate(events):
        if number:
            time.sleep(1 / rate)
        outcome, count = act(event)
        failed += not count
        would = "would be " if dry_run and count else ""
        print_line(f"{event}: {would}{outcome}" + (f" ({count} runs)" if count else ""))
    if not events:
        print_line("no event fits")
    return 1 if failed else 0
