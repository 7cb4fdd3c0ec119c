"""zyra-receiver handlers"""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract import keys as names
from receiver.contract.body import read_json
from receiver.contract.errors import ConfigurationError, SealError, Unreadable
from receiver.contract.figures import read_counters
from receiver.contract.ledger_facts import list_pauses
from receiver.contract.records import Content, EventRecord, Labels

from ... import plugins, settings
from ...event import Event, make_event
from ...handler import Handler
from ...ledger import query
from ...ledger.transitions import Ledger
from ..access import open_ledger
from ..errors import CommandFailed
from ..event_filters import Limit, OfHandler, Since, Source, Type, Until, filter_by
from ..handler_list import find_near, load_and_print, load_or_report
from ..local import make_current_folder_importable, read_environment
from ..output import cut, print_line, print_note
from ..run_diff import compare_event

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Name = Annotated[str, typer.Argument(help="The handler's name, as `handlers` lists it.")]
Reason = Annotated[str, typer.Option(help="Reason, for the audit log.")]


@app.callback(invoke_without_command=True)
def handlers(
    context: typer.Context,
    event: Annotated[str, typer.Option("--event", help="Id of an event, or a file with a body.")] = "",
    type: Annotated[str, typer.Option(help="Type of the event, for a body from a file.")] = "",
    source: Annotated[str, typer.Option(help="Source of the event, for a body from a file.")] = "zyra",
) -> int:
    """List the loaded handlers; with --event, say which of them would run, and why."""
    if context.invoked_subcommand:
        return 0
    make_current_folder_importable()
    modules = settings.read_modules(read_environment())
    if not event:
        load_and_print(modules)
        return 0
    router = load_or_report(modules)
    one = read_event(event, type, source)
    for handler in router:
        print_line(f"{handler.name}: {explain(handler, one)}")
    return 0


@app.command()
def pause(name: Name, reason: Reason = "") -> None:
    """Have the queued runs of a handler wait, in all workers. Attempts that have begun go on to their end."""
    ledger, config = open_ledger()
    require_known(name, list_known(ledger, config))
    if not ledger.pause(name, reason):
        raise CommandFailed(f"{name} is paused already: `status` says since when")
    print_line(f"paused: {name}. Its runs wait until `zyra-receiver handlers resume {name}`")


@app.command()
def resume(name: Name, reason: Reason = "") -> None:
    """End a pause: runs that wait are queued."""
    ledger = open_ledger()[0]
    paused = [one.handler for one in list_pauses(ledger.client, ledger.keys)]
    queued = ledger.resume(name, reason)
    if queued is None:
        known = f"; paused: {', '.join(paused)}" if paused else "; no handler is"
        raise CommandFailed(f"{name} is not paused{known}")
    print_line(f"resumed: {name}, {queued} runs queued")


@app.command()
def diff(
    since: Since = "1d",
    until: Until = "",
    source: Source = "",
    type: Type = "",
    handler: OfHandler = "",
    limit: Limit = 1000,
    each: Annotated[bool, typer.Option("--each", help="Print a line for each run that differs.")] = False,
) -> int:
    """Run stored events through the current code, and print what it would do differently. Exits with 1 if anything.

    Nothing is sent to Zyra and no connection opened: a sandbox in this process answers. What a handler does by itself,
    such as writing a file, is real.
    """
    make_current_folder_importable()
    ledger, config = open_ledger()
    router = load_or_report(settings.read(read_environment()).handlers)
    wanted = filter_by(None, type, source, since, limit + 1, until, handler)
    events = runs = differing = 0
    obstacles = Counter[str]()
    groups = dict[tuple[str, str], list[str]]()
    for record in cut(query.search(ledger, wanted), limit):
        compared = compare_event(ledger, config.seal, router, record)
        events, runs = events + 1, runs + compared.runs
        obstacles.update(filter(None, [compared.obstacle]))
        differing += len({one.handler for one in compared.differences})
        for one in compared.differences:
            groups.setdefault((one.handler, one.what), []).append(one.event)
            if each:
                print_line(f"{one.event} {one.handler}: {one.what}")
    for (name, what), examples in sorted(groups.items(), key=lambda group: -len(group[1])) if not each else ():
        print_line(f"{name}: {len(examples)} runs: {what}; such as {examples[0]}")
    for obstacle, count in obstacles.items():
        print_note(f"{count} events are not compared: {obstacle}")
    print_line(f"{events} events, {runs} runs: {differing} would differ")
    return 1 if differing else 0


def list_known(ledger: Ledger, config: settings.Settings) -> set[str]:
    """Names of handlers that are loaded here, or whose attempts the ledger has counted."""
    counted = read_counters(ledger.client, ledger.keys)
    known = {name.split(":", 2)[2] for name in counted if name.startswith("handler:")}
    if config.handlers:
        make_current_folder_importable()
        known |= {handler.name for handler in plugins.load_handlers(config.handlers, keep_going=True)}
    return known


def require_known(name: str, known: set[str]) -> None:
    """Raises ConfigurationError where no handler has this name."""
    if name not in known:
        near = find_near(name, known)
        hint = f"; did you mean {near!r}?" if near else ": `zyra-receiver handlers` lists them"
        raise ConfigurationError([f"there is no handler {name!r}{hint}"])


def read_event(event: str, kind: str, source: str) -> Event:
    """An event of the ledger by its id, or one made of a file. Raises CommandFailed, ConfigurationError."""
    try:
        return load_event(event) if names.EVENT.fullmatch(event) else make_event_from_file(Path(event), kind, source)
    except (Unreadable, SealError) as error:
        raise CommandFailed(f"no handler would run: the event is unreadable or sealed: {error}") from None


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
    if handler.is_dead_hook:
        return "no: it runs for dead letters of its router"
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
