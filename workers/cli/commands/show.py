"""zyra-receiver events show"""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from receiver.contract.errors import SealError
from receiver.contract.keys import make_run_id
from receiver.contract.seal import Seal

from ...ledger import query
from ...ledger.transitions import Ledger
from ..access import open_ledger
from ..errors import CommandFailed
from ..event_filters import Json
from ..output import print_json, print_line, print_note


def show(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    body: Annotated[bool, typer.Option("--body", help="Print the body, too.")] = False,
    as_lines: Json = False,
) -> int:
    """Show one event and its runs."""
    ledger, config = open_ledger()
    record = query.show(ledger, event)
    if record is None:
        raise CommandFailed(f"there is no event {event!r}: `events list` shows the newest")
    if body:
        try:
            record["body"] = query.open_event(ledger, config.seal, event).content.body.decode(
                "utf-8", "backslashreplace"
            )
        except SealError as error:
            record["body"] = f"cannot be decrypted: {error}"
    for run in record["runs"]:
        run["calls"] = list_calls(ledger, config.seal, event, run["handler"])
    if as_lines:
        print_json(record)
        return 0
    for name, value in record.items():
        if name not in ("runs", "frames"):
            print_line(f"{name}:", "-" if value in ("", None) else value)
    for frame in record["frames"]:
        print_line(f"  {frame}")
    for run in record["runs"]:
        again = f", again at {run['next_attempt_at']}" if run["next_attempt_at"] else ""
        failure = f": {run['error']}" if run["error"] else ""
        turn = f", {describe_turn(run['waits_for'])}" if run["waits_for"] else ""
        print_line(f"run: {run['handler']} {run['state']}, attempts {run['attempts']}{again}{turn}{failure}")
        for past in run["past"]:
            print_past(past)
        for call in run["calls"]:
            looked = ", looked up" if call["looked_up"] else ""
            looked += f", a person said: {call['person_says']}" if call["person_says"] else ""
            status = f" {call['status']}" if call["status"] else ""
            print_line(
                f"  call {call['order']}: {call['call']}: {call['outcome']}{status}{looked}, attempt {call['attempt']}"
                + (f", request {call['request_id']}" if call["request_id"] else "")
            )
    return 0


def describe_turn(waits_for: str) -> str:
    if waits_for == "dispatch":
        return "for the dispatch of earlier events"
    return f"for its turn: first of its key is {waits_for}"


def print_past(past: dict[str, Any]) -> None:
    """One attempt that ended."""
    host = f" on {past['host']}" if past["host"] else ""
    error = f": {past['error']}" if past["error"] else ""
    print_line(
        f"  attempt {past['attempt']}: {past['began_at']}, {past['seconds']:g} s{host}, {past['outcome']}{error}"
    )
    for frame in past["frames"]:
        print_line(f"    {frame}")


def list_calls(ledger: Ledger, seal: Seal, event: str, handler: str) -> Sequence[dict[str, Any]]:
    """What a run has asked of Zyra's API."""
    run = make_run_id(event, handler)
    if not ledger.client.exists(ledger.keys.name(f"calls:{run}")):
        return []
    from ...zyra import journal

    try:
        return [{**one, "at": query.format_time(one["at"])} for one in journal.list_calls(ledger, seal, run)]
    except SealError as error:
        print_note(f"cannot decrypt the API calls of {handler}: {error}")
        return []
