"""zyra-receiver run"""

import pdb
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from msgspec import structs

from receiver.contract.errors import ConfigurationError
from receiver.contract.keys import EVENT

from ... import settings
from ...context import Context
from ...errors import GiveUp, RetryLater
from ...event import Event, make_key
from ...handler import Handler
from ...ledger.transitions import Ledger
from ...runtime import foreground
from ...runtime.attempt import draw_backoff, list_failures
from ...runtime.clients import make_caller
from ...runtime.failures import describe_error
from ...runtime.foreground import Ending, LocalCounter, make_endless_lease, run_attempt
from ...sandbox.in_process import SandboxInProcess
from ...testing.answers import Answers
from ...zyra.client import AsyncZyra, Zyra
from ..access import open_ledger
from ..handler_list import find_near, load_or_report
from ..local import make_current_folder_importable, read_environment
from ..output import print_line, print_note, print_red
from .handlers import explain, read_event

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="The handler's name, or its end, as `handlers` lists it.")],
    event: Annotated[str, typer.Option("--event", help="Id of an event, or a file with a body.")],
    type: Annotated[str, typer.Option(help="Type of the event, for a body from a file.")] = "",
    source: Annotated[str, typer.Option(help="Source of the event, for a body from a file.")] = "zyra",
    really: Annotated[bool, typer.Option(help="Call Zyra's API, and post, instead of recording.")] = False,
    debug: Annotated[bool, typer.Option(help="Open a debugger where the handler raises.")] = False,
) -> int:
    """Run one attempt of a handler here. Exits with 1 if it fails. Nothing is written to the ledger."""
    make_current_folder_importable()
    environment = read_environment()
    router = load_or_report(settings.read_modules(environment))
    handler = find_handler(name, list(router))
    one = structs.replace(read_event(event, type, source), key="")
    one = structs.replace(one, key=make_key(one.id, handler.name))
    if handler.is_dead_hook and EVENT.fullmatch(event):
        one = structs.replace(one, failures=list_failures(open_ledger()[0], event))
    elif (answer := explain(handler, one)) != "would run":
        print_note(f"a worker would not run it: {answer.removeprefix('no: ')}")
    ending, made = run_really(settings.read(environment), handler, one) if really else run_recorded(handler, one)
    for line in made:
        print_line(f"not sent: {line}")
    return conclude(handler, ending, debug)


def run_recorded(handler: Handler, event: Event) -> tuple[Ending, Sequence[str]]:
    """The ending, and what was not sent."""
    sandbox = SandboxInProcess(pretends=True)
    sandbox.tell(event.type, event.resource_id, event.payload.get("data") if isinstance(event.payload, dict) else None)
    print_note("API calls go to a sandbox in this process, and posts are only recorded; --really sends both")
    others = Answers()
    context = Context(LocalCounter(), make_endless_lease(), answer=others.answer)
    ending = run_attempt(handler, event, sandbox.make_client(handler.is_async), context=context)
    posts = [f"post to {post.url}: {post.body.decode('utf-8', 'replace')}" for post in ending.posts]
    return ending, [*(f"{call}: answered {call.status}" for call in (*sandbox.calls, *others.calls)), *posts]


def run_really(config: settings.Settings, handler: Handler, event: Event) -> tuple[Ending, Sequence[str]]:
    print_note(f"calls go to {config.api_url}; calls that earlier attempts have made are repeated")
    ledger = Ledger.open(config)
    client: Any = (AsyncZyra if handler.is_async else Zyra)(config.api_url, caller=make_caller(config, ledger))
    context = Context(ledger, make_endless_lease(), who=handler.name, redis=lambda: ledger.of_api)
    return run_attempt(handler, event, client, context=context, records_posts=False), []


def conclude(handler: Handler, ending: Ending, debug: bool) -> int:
    error = ending.error
    if error is None:
        print_line(f"done in {ending.seconds:.3f} s")
        return 0
    trace = traceback.TracebackException.from_exception(error)
    trace.stack[:] = [frame for frame in trace.stack if frame.filename != foreground.__file__]
    print_red("".join(trace.format()))
    if isinstance(error, RetryLater):
        then = f"a worker would attempt it again in {error.seconds:g} s"
    elif isinstance(error, GiveUp) or handler.max_attempts == 1:
        then = "its run would be a dead letter"
    else:
        then = f"a worker would attempt it again in {draw_backoff(0, handler.backoff):.0f} s"
    print_line(f"failed after {ending.seconds:.3f} s: {describe_error(error)}; {then}")
    if debug:
        pdb.post_mortem(error.__traceback__)
    return 1


def find_handler(name: str, handlers: Sequence[Handler]) -> Handler:
    """By its name, or the end of it. Raises ConfigurationError."""
    names = [one.name for one in handlers]
    found = [one for one in handlers if one.name == name] or [one for one in handlers if one.name.endswith(f".{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigurationError([f"several handlers end with {name!r}: {', '.join(one.name for one in found)}"])
    near = find_near(name, names)
    hint = f"; did you mean {near!r}?" if near else f"; there are: {', '.join(names)}"
    raise ConfigurationError([f"there is no handler {name!r}{hint}"])
