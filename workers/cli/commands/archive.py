"""zyra-receiver events export, events import"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract.errors import ConfigurationError, SealError

from ...ledger.archive import ArchiveError, read_archive, restore, restore_lane_key, write_archive
from ...monitoring.search import find_events
from ..access import open_ledger
from ..errors import CommandFailed
from ..event_filters import (
    Dry,
    Ids,
    OfError,
    OfHandler,
    Resource,
    Since,
    Source,
    State,
    Type,
    Until,
    Where,
    filter_by,
)  # fmt: skip
from ..output import print_line, print_note


def export(
    ids: Ids = None,
    state: State = None,
    type: Type = "",
    source: Source = "",
    since: Since = "",
    until: Until = "",
    handler: OfHandler = "",
    error: OfError = "",
    resource: Resource = "",
    where: Where = "",
    opened: Annotated[
        bool, typer.Option("--opened", help="Bodies in the clear, else as SEAL_KEY sealed them.")
    ] = False,
) -> int:
    """Print events as lines of JSON: all, or those of a filter. `events import` reads them."""
    wanted = filter_by(state, type, source, since, 2**63, until, handler, error, resource, where)
    ledger, config = open_ledger()
    chosen = ids or (event["id"] for event in find_events(ledger, config.seal, wanted))
    try:
        for line in write_archive(ledger, config.seal, chosen, opened):
            print(line)
    except SealError as failure:
        raise CommandFailed(f"cannot decrypt an event: {failure}. Without --opened it is exported sealed") from None
    return 0


def import_events(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `events export` printed.")],
    dry_run: Dry = False,
) -> int:
    """Bring exported events back as they were: those that were open are queued again. Known events stay as they are."""
    ledger, config = open_ledger()
    try:
        head = check(path)
        if not head["opened"] and head["queue"] != ledger.keys.queue:
            raise ConfigurationError(
                [f"{path} is of QUEUE={head['queue']}, and sealed for it: export it with --opened, or set QUEUE"]
            )
        if dry_run:
            print_line(f"{sum(1 for _ in read_archive(read_lines(path))) - 1} events would be imported")
            return 0
        restore_lane_key(ledger, config.seal, head)
        restored = known = 0
        for number, event in enumerate(read_archive(read_lines(path))):
            if number:
                is_new = restore(ledger, config.seal, event) == "restored"
                restored, known = restored + is_new, known + (not is_new)
    except (ArchiveError, SealError, KeyError, ValueError) as error:
        raise CommandFailed(f"{path}: {error}") from None
    print_line(f"{restored} events imported" + (f", {known} were there already" if known else ""))
    print_note("deliveries are known by marks, which are not part of an archive: a repeated one is a new event")
    return 0


def check(path: Path) -> dict[str, object]:
    """The head of the archive, once every line is as it was written. Raises ArchiveError."""
    head, *_ = read_archive(read_lines(path))
    return head


def read_lines(path: Path) -> Iterator[str]:
    """Raises ConfigurationError."""
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: {getattr(error, 'strerror', None) or 'not a text file'}"]) from None
