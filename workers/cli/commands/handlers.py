"""zyra-receiver handlers"""

import time
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract import keys as names
from receiver.contract.body import read_json
from receiver.contract.errors import ConfigurationError, SealError, Unreadable
from receiver.contract.records import Content, EventRecord, Labels

from ... import plugins, settings
from ...event import Event, make_event
from ...ledger import query
from ...router import Handler
from ..access import open_ledger
from ..errors import CommandFailed
from ..local import make_current_folder_importable, read_environment
from ..output import print_line, print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def handlers(
    event: Annotated[str, typer.Option("--event", help="Id of an event, or a file with a body.")] = "",
    type: Annotated[str, typer.Option(help="Type of the event, for a body from a file.")] = "",
    source: Annotated[str, typer.Option(help="Source of the event, for a body from a file.")] = "zyra",
) -> int:
    """List the loaded handlers; with --event, say which of them would run, and why."""
    make_current_folder_importable()
    router = plugins.load_handlers(settings.read(read_environment()).handlers)
    if not event:
        print_table(
            ("HANDLER", "SOURCE", "TYPE", "TIMEOUT"),
            [(h.name, h.source, ", ".join(h.types), f"{h.timeout:g} s") for h in router],
        )
        return 0
    try:
        one = load_event(event) if names.EVENT.fullmatch(event) else make_event_from_file(Path(event), type, source)
    except (Unreadable, SealError) as error:
        raise CommandFailed(f"no handler would run: the event is unreadable or sealed: {error}") from None
    for handler in router:
        print_line(f"{handler.name}: {explain(handler, one)}")
    return 0


def load_event(name: str) -> Event:
    ledger, config = open_ledger()
    return make_event(query.open_event(ledger, config.seal, name))


def make_event_from_file(path: Path, kind: str, source: str) -> Event:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"--event {path}: {error.strerror}"]) from None
    if not kind:
        fields = read_json(body)
        kind = str(fields.get("event") or fields.get("type") or "") if isinstance(fields, dict) else ""
    labels = Labels(id="evt_" + "0" * 26, source=source, type=kind, received_at=int(time.time() * 1000))
    return make_event(EventRecord(labels=labels, content=Content(body=body)))


def explain(handler: Handler, one: Event) -> str:
    if handler.matches(one.source, one.type, stem=one.stem) and not handler.matches(
        one.source, one.type, one.origin, one.stem
    ):
        return "no: it does not ask for reconciled events"
    if not handler.matches(one.source, one.type, stem=one.stem):
        wanted = f"{handler.source} {', '.join(handler.types)}"
        hint = next(
            (f'; did you mean "{beginning}.*"?' for beginning in handler.find_prefixes(one.source, one.type)), ""
        )
        return f"no: it is for {wanted}, this is {one.source} {one.type or 'without a type'}{hint}"
    try:
        return "would run" if handler.wants(one) else "no: its `when` says no"
    except Exception as error:
        return f"would fail: its `when` raises {type(error).__name__}: {error}"
