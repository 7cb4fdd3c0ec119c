"""Compares what the current code would do with stored events, and what was done: `zyra-receiver handlers diff`.

The API is a sandbox in this process that knows every id; nothing is sent, and no connection opened.
"""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any
from unittest.mock import patch

import msgspec

from receiver.contract.errors import SealError, Unreadable
from receiver.contract.keys import make_run_id
from receiver.contract.records import RunState
from receiver.contract.seal import Seal

from ..context import Context
from ..event import Event, make_event, make_key
from ..handler import Handler
from ..ledger import query
from ..ledger.transitions import Ledger
from ..router import Router
from ..runtime.failures import describe_error, name_kind
from ..runtime.foreground import LocalCounter, make_endless_lease, run_attempt
from ..sandbox.in_process import SandboxInProcess
from ..testing.answers import Answers
from ..testing.journal import SEAL, JournalMemory
from ..zyra.journal import Entry, State, load_entries

FAILED = (RunState.DEAD, RunState.WAITING, RunState.DISCARDED)
MADE = (State.DONE, State.SENT)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """what: the difference in words, the same for all events that differ in this way."""

    event: str
    handler: str
    what: str


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """One event: how many runs of it were compared, and how they differ. obstacle: why none was."""

    event: str
    runs: int = 0
    obstacle: str = ""
    differences: tuple[Difference, ...] = ()


def compare_event(ledger: Ledger, seal: Seal, router: Router, record: dict[str, Any]) -> Compared:
    """record: of the event, as `query.show` gives it."""
    name = record["id"]
    try:
        event = make_event(query.open_event(ledger, seal, name))
    except (SealError, Unreadable) as error:
        return Compared(event=name, obstacle=str(error))
    hooks = {handler.name for handler in router if handler.is_dead_hook}
    stored = {run["handler"]: run for run in record["runs"] if run["handler"] not in hooks}
    wanted = {handler.name: handler for handler in router if wants(handler, event)}
    found = list[Difference]()
    for handler in sorted(stored.keys() | wanted.keys()):
        for what in compare_run(ledger, seal, event, stored.get(handler), wanted.get(handler)):
            found.append(Difference(event=name, handler=handler, what=what))
    return Compared(event=name, runs=len(stored.keys() | wanted.keys()), differences=tuple(found))


def compare_run(
    ledger: Ledger, seal: Seal, event: Event, run: dict[str, Any] | None, handler: Handler | None
) -> Iterator[str]:
    """run: what is stored of it, or None where there was none. handler: None where none would run."""
    if run is None:
        yield "would run now, but did not before"
        return
    if handler is None:
        yield "would not run any more"
        return
    if run["state"] in (RunState.QUEUED, RunState.RUNNING, RunState.PAUSED):
        return
    try:
        before = load_entries(ledger, seal, make_run_id(event.id, handler.name)).values()
    except SealError as sealed:
        yield f"its calls cannot be decrypted: {sealed}"
        return
    error, now = rehearse(handler, event)
    yield from compare_ends(run, error)
    yield from compare_calls([entry for entry, _ in before if entry.state in MADE], now, event.resource_id)


def compare_ends(run: dict[str, Any], error: BaseException | None) -> Iterator[str]:
    kind = run["error"].partition(":")[0]
    if run["state"] in FAILED and error is None:
        yield f"would be done; it failed with {kind or 'no error that is kept'}"
    elif run["state"] in FAILED and error is not None and kind and name_kind(error) != kind:
        yield f"would fail with {name_kind(error)}; it failed with {kind}"
    elif run["state"] not in FAILED and error is not None:
        yield f"would fail: {describe_error(error)[:200]}; it was {run['state']}"


def compare_calls(before: Sequence[Entry], now: Sequence[Entry], resource: str) -> Iterator[str]:
    """Calls that would be made instead of those that were. resource: the id that differs from event to event."""

    def name(entry: Entry) -> str:
        path = entry.path.replace(resource, "{id}") if resource else entry.path
        return f"{entry.method} {path}"

    old, new = (
        [(one.method, one.path, one.digest) for one in before],
        [(one.method, one.path, one.digest) for one in now],
    )
    for tag, first, last, begin, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        gone, made = [name(one) for one in before[first:last]], [name(one) for one in now[begin:end]]
        if gone == made:
            yield f"would call {', '.join(made)} with other fields"
        elif gone and made:
            yield f"would call {', '.join(made)} instead of {', '.join(gone)}"
        else:
            yield f"would also call {', '.join(made)}" if made else f"would not call {', '.join(gone)} any more"


def rehearse(handler: Handler, event: Event) -> tuple[BaseException | None, list[Entry]]:
    """What the handler raises, and the calls that it makes which change something."""
    sandbox, memory = SandboxInProcess(pretends=True), JournalMemory()
    sandbox.tell(event.type, event.resource_id, event.payload.get("data") if isinstance(event.payload, dict) else None)
    run = make_run_id(event.id, handler.name)
    one = msgspec.structs.replace(event, key=make_key(event.id, handler.name))
    client = sandbox.make_client(handler.is_async, journal=memory.make_journal(run, 1, one.key))
    context = Context(
        LocalCounter(), make_endless_lease(), open_journal=lambda: client.caller.journal, answer=Answers().answer
    )
    with forbid_connections():
        ending = run_attempt(handler, one, client, context=context)
    entries = load_entries(memory, SEAL, run)  # type: ignore[arg-type]
    return ending.error, [entry for entry, _ in entries.values() if entry.state in MADE]


def wants(handler: Handler, event: Event) -> bool:
    try:
        with forbid_connections():
            return handler.wants(event)
    except Exception:  # it would have a run, which fails
        return True


@contextlib.contextmanager
def forbid_connections() -> Iterator[None]:
    """Inside it, opening a connection raises ConnectionRefusedError."""

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise ConnectionRefusedError("`handlers diff` opens no connection")

    with (
        patch.object(socket.socket, "connect", refuse),
        patch.object(socket.socket, "connect_ex", refuse),
        patch.object(socket.socket, "sendto", refuse),
        patch.object(socket, "getaddrinfo", refuse),
    ):
        yield
