"""zyra-receiver events capture"""

import json
import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from receiver.contract.body import read
from receiver.contract.errors import ConfigurationError, SealError, Unreadable
from receiver.contract.records import RunState

from ... import settings
from ...handler import Handler
from ...ledger import query
from ...router import Router
from ...runtime.failures import describe_error, name_kind
from ...testing import fixtures, run_handler
from ..access import open_ledger
from ..errors import CommandFailed
from ..handler_list import load_or_report
from ..local import make_current_folder_importable, read_environment
from ..output import print_line, print_note

FAILED = (RunState.DEAD, RunState.WAITING, RunState.REFUSED, RunState.DISCARDED)
TEST = '''"""Captured from {event}: {handler} failed with {error}."""

from pathlib import Path

from {module} import router
from workers.testing import load_event, run_handler

EVENT = Path(__file__).with_name({file!r})


def test_{name}() -> None:
    handler = router.get({handler!r})
    assert handler

    result = run_handler(handler, load_event(EVENT))

    assert result.outcome == "done", repr(result.error)
'''


def capture(
    event: Annotated[str, typer.Argument(help="The event's id.")],
    handler: Annotated[str, typer.Option(help="The handler; default: the one whose run failed.")] = "",
    into: Annotated[Path, typer.Option(help="Folder for the two files.")] = Path("tests"),
    keep: Annotated[
        list[str] | None, typer.Option(help="Field whose value is needed, such as data.plan; may be repeated.")
    ] = None,
    keep_all: Annotated[bool, typer.Option(help="Redact nothing.")] = False,
) -> int:
    """Write a redacted fixture of an event, and a test that fails as its run did.

    Letters and digits of texts become x, except in ids, types, states and times. Exits with 1 if the redacted event
    does not fail the same way.
    """
    make_current_folder_importable()
    ledger, config = open_ledger()
    record = query.show(ledger, event)
    if record is None:
        raise CommandFailed(f"there is no event {event!r}: `events list` shows the newest")
    router = load_or_report(settings.read(read_environment()).handlers)
    failed, run = choose(router, record["runs"], handler)
    try:
        opened = query.open_event(ledger, config.seal, event)
        payload = read(opened.content)
    except (SealError, Unreadable) as error:
        raise CommandFailed(f"cannot read {event}: {error}") from None
    fixture = fixtures.make_fixture(opened, payload if keep_all else fixtures.redact(payload, set(keep or ())))
    name = re.sub(r"\W+", "_", f"{failed.name}_{event[-6:]}")
    file, test = into / f"{event}.json", into / f"test_{name}.py"
    if test.exists():
        raise ConfigurationError([f"{test} already exists: remove it, or choose another folder with --into"])
    into.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(fixture, indent=1, ensure_ascii=False) + "\n")
    words = {"event": event, "handler": failed.name, "error": run["error"].partition(":")[0] or run["state"]}
    test.write_text(TEST.format(**words, module=failed.function.__module__, file=file.name, name=name))
    print_line(f"wrote {file} and {test}: python -m pytest {shlex.quote(str(test))}")
    return judge(failed, file, run["error"])


def judge(handler: Handler, file: Path, error: str) -> int:
    """Whether the fixture fails as the run did: 0, else 1."""
    result, kind = run_handler(handler, fixtures.load_event(file)), error.partition(":")[0]
    now = name_kind(result.error) if result.error else ""
    if now == kind:
        print_line(f"it fails as the run did: {describe_error(result.error) if result.error else result.outcome}")
        return 0
    cause = "perhaps a redacted text matters (--keep data.plan, --keep-all), or what the API answered"
    print_note(
        f"the fixture ends {now or result.outcome}, but the run failed with {kind or 'no error that is kept'}: {cause}"
    )
    return 1


def choose(router: Router, runs: list[dict[str, Any]], name: str) -> tuple[Handler, dict[str, Any]]:
    """The handler and its run. Raises CommandFailed."""
    chosen = [run for run in runs if run["handler"] == name or (not name and run["state"] in FAILED)]
    if not chosen:
        names = ", ".join(run["handler"] for run in runs) or "none"
        raise CommandFailed(f"no run {f'of {name}' if name else 'failed'}: choose one with --handler: {names}")
    if len(chosen) > 1:
        names = ", ".join(run["handler"] for run in chosen)
        raise CommandFailed(f"several runs failed: choose one with --handler: {names}")
    handler = router.get(chosen[0]["handler"])
    if handler is None:
        raise CommandFailed(f"the handler {chosen[0]['handler']} is not loaded: name its module in WORKER_HANDLERS")
    return handler, chosen[0]
