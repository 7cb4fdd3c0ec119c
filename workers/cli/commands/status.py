"""zyra-receiver status"""

from typing import Annotated

import typer

from receiver.contract.ledger_facts import RECENT_MINUTES, Cause
from receiver.contract.survey import Status

from ...monitoring.status import survey
from ..access import open_ledger
from ..output import print_json, print_line

app = typer.Typer(add_completion=False, rich_markup_mode=None)
MAX_CAUSES = 10  # that are printed


@app.command()
def status(
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 1 if anything is stuck, for cron.")] = False,
) -> int:
    """Show what is flowing, what is stuck, since when, and what to do. Exits with 1 if Redis does not answer."""
    report = survey(open_ledger()[0])
    if as_object:
        print_json(report.as_json())
    else:
        print_report(report)
    return 1 if fail and report.stuck else 0


def print_report(report: Status) -> None:
    counts = report.counts
    print_line(
        f"queue {report.queue}: {report.queue_length} entries, {report.receivers} receivers, {report.workers} workers"
    )
    print_line(
        f"events: {counts['pending']} to dispatch, the oldest for {report.oldest_seconds:.0f} s; {counts['open']} open"
    )
    print_line(
        f"runs: {counts['queued']} queued, {counts['running']} running, {counts['waiting']} waiting for their time, "
        f"{counts['blocked']} for their turn"
    )
    print_history(report)
    for source, count in report.untyped.items():
        print_line(f"source {source}: {count} events without a type, dispatched as `event`. Set `type` in the source")
    for pause in report.paused:
        print_line(
            f"paused: {pause.handler}, since {pause.since}, {pause.runs} runs wait: handlers resume {pause.handler}"
        )
    print_causes(report.causes)
    for refusal in report.refusals:
        print_line(
            f"source {refusal.source}: {refusal.share} deliveries refused in {RECENT_MINUTES} min, "
            f"{refusal.cause}" + (f": {refusal.reason}" if refusal.reason else "")
        )
    for trouble in report.stuck:
        print_line(f"! {trouble.what}: {trouble.count}" + (f", since {trouble.since}" if trouble.since else ""))
        print_line(f"  {trouble.do}")
    if not report.stuck:
        print_line("nothing is stuck")


def print_history(report: Status) -> None:
    shed = ", ".join(f"{count} {what}" for what, count in report.shed.items() if count)
    early = f"; deleted early because Redis was short of memory: {shed}" if shed else ""
    keys = ", ".join(f"{key} {count}" for key, count in report.sealed.items())
    print_line(f"history: {report.counts['final']} finished events{early}" + (f"; by seal key: {keys}" if keys else ""))


def print_causes(causes: list[Cause]) -> None:
    for cause in causes[:MAX_CAUSES]:
        where = f"{cause.kind} at {cause.place}" if cause.place else cause.kind
        lately = f"{cause.failed} of {cause.ended} in {RECENT_MINUTES} min, {cause.total} since {cause.first}"
        again = f", next attempt at {cause.next_attempt}" if cause.next_attempt else ""
        print_line(
            f"{'new: ' if cause.new else ''}{cause.handler} fails: {lately}, {where}{again}; last: {cause.event}"
        )
    if len(causes) > MAX_CAUSES:
        print_line(f"{len(causes) - MAX_CAUSES} more causes: --json shows all")
