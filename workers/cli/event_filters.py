"""Options of commands that choose events."""

from typing import Annotated

import typer

from receiver.contract.errors import ConfigurationError
from receiver.contract.records import EventState

from ..ledger import query

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
State = Annotated[EventState | None, typer.Option(help="Only events in this state.")]
Type = Annotated[str, typer.Option(help="Only this type; may end in *.")]
Source = Annotated[str, typer.Option(help="Only this source.")]
Since = Annotated[str, typer.Option(help="Only events since then: 1h, 2d, or a time in RFC 3339.")]
Until = Annotated[str, typer.Option(help="Only events until then: 1h, 2d, or a time in RFC 3339.")]
OfHandler = Annotated[str, typer.Option("--handler", help="Only events with a run of this handler.")]
OfError = Annotated[str, typer.Option("--error", help="Only events with a run whose error contains this.")]
Resource = Annotated[str, typer.Option("--resource", help="Only events about this resource, such as vs_31337.")]
Where = Annotated[str, typer.Option("--where", help="Only events with this in their payload: data.customer=c42.")]
Limit = Annotated[int, typer.Option(min=1, help="Maximum number of events.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids of events.")]
Dry = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]
All = Annotated[bool, typer.Option("--all", help="All dead events, if no id and no filter is given.")]
Rate = Annotated[float, typer.Option(min=0.01, help="Maximum number of events a second.")]


def filter_by(
    state: EventState | None,
    kind: str,
    source: str,
    since: str,
    limit: int,
    until: str = "",
    handler: str = "",
    error: str = "",
    resource: str = "",
    where: str = "",
) -> query.Filter:
    """Raises ConfigurationError."""
    return query.Filter(
        state=state or "",
        type=kind,
        source=source,
        since=read_moment("--since", since, 0.0),
        until=read_moment("--until", until, float("inf")),
        handler=handler,
        error=error,
        where=read_where(where, resource),
        limit=limit,
    )


def read_moment(option: str, text: str, default: float) -> float:
    """Seconds since 1970. Raises ConfigurationError."""
    try:
        return query.parse_since(text) if text else default
    except ValueError as error:
        raise ConfigurationError([f"{option}: {error}"]) from None


def read_where(where: str, resource: str) -> tuple[str, str] | None:
    """A path and the value that stands there. Raises ConfigurationError."""
    if where and resource:
        raise ConfigurationError(["give --where or --resource, not both"])
    path, equals, value = where.partition("=") if where else ("resource", "=", resource)
    if where and not (path and equals and value):
        raise ConfigurationError([f"--where must be a path and its value, such as data.customer=c42, not {where!r}"])
    return (path, value) if value else None


def require_selection(everything: bool, *selection: object) -> None:
    """Raises ConfigurationError where neither ids nor a filter nor --all say which events are meant."""
    if not everything and not any(selection):
        raise ConfigurationError(["say which events: ids, a filter such as --type or --since, or --all"])
