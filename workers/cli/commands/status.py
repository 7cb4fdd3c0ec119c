"""zyra-receiver status"""

from typing import Annotated

import typer

from ...monitoring.status import Status, survey
from ..access import open_ledger
from ..output import print_json, print_line

app = typer.Typer(add_completion=False, rich_markup_mode=None)


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
    print_line(f"queue {report.queue}: {report.queue_length} entries, {report.workers} workers")
    print_line(
        f"events: {counts['pending']} to dispatch, the oldest for {report.oldest_seconds:.0f} s; {counts['open']} open"
    )
    print_line(
        f"runs: {counts['queued']} queued, {counts['running']} running, {counts['waiting']} waiting for their time"
    )
    for source, count in report.untyped.items():
        print_line(f"source {source}: {count} events without a type, dispatched as `event`. Set `type` in the source")
    for trouble in report.stuck:
        print_line(f"! {trouble.what}: {trouble.count}" + (f", since {trouble.since}" if trouble.since else ""))
        print_line(f"  {trouble.do}")
    if not report.stuck:
        print_line("nothing is stuck")
