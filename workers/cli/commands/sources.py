"""zyra-receiver sources"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from receiver import settings
from receiver.contract.connection import connect, text
from receiver.contract.keys import Keys
from receiver.notices import DAYS, mark
from receiver.sources import Source

from ...ledger import query
from ..local import environment
from ..output import as_json, table

app = typer.Typer(add_completion=False, rich_markup_mode=None)
QUIET = 3  # days without a use, while another secret of the source was used, after which one is safe to remove


@app.command()
def sources(as_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False) -> None:
    """Our sources, which secret verified how many deliveries of the last week, and which is safe to remove."""
    found = settings.read(environment())
    client, keys = connect(found.redis_url), Keys(found.queue, found.rq_prefix)
    now = time.time()
    last = {text(k): int(v) for k, v in client.hgetall(keys.named("secrets")).items()}
    days = [f"{datetime.fromtimestamp(now, UTC) - timedelta(days=n):%Y%m%d}" for n in range(DAYS)]
    counted = [{text(k): int(v) for k, v in client.hgetall(keys.named(f"secrets:{day}")).items()} for day in days]
    rows = []
    for source in found.sources.values():
        if not source.texts():
            rows.append(without(source))
        marks = [mark(found.seal, source, one) for _, one in source.texts()]
        newest = max((last.get(one, 0) for one in marks), default=0)
        for (name, _), one in zip(source.texts(), marks, strict=True):
            used, count = last.get(one, 0), sum(day.get(one, 0) for day in counted)
            rows.append(
                {
                    "source": source.name,
                    "scheme": source.scheme.title,
                    "secret": name,
                    "deliveries": count,
                    "last_used": query.stamp(used * 1000) if used else None,
                    "advice": advice(used, newest, len(marks), observed(counted, source.name)),
                }
            )
    if as_lines:
        for row in rows:
            as_json(row)
        return
    head = ("SOURCE", "SCHEME", "SECRET", "DELIVERIES", "LAST USED", "")
    table(head, map(cells, rows))


def cells(row: dict[str, Any]) -> list[object]:
    if row["secret"] is None:
        return [row["source"], row["scheme"], "-", "-", "-", row["advice"]]
    return [value if value is not None else "never" for value in row.values()]


def without(source: Source) -> dict[str, Any]:
    """The row of a source that holds no secret."""
    told = "keys are fetched" if source.fetches else "waits for the provider to tell its secret"
    return {
        "source": source.name, "scheme": source.scheme.title, "secret": None, "deliveries": None, "last_used": None,
        "advice": told,
    }  # fmt: skip


def observed(counted: list[dict[str, int]], source: str) -> int:
    """For how many days uses of the source are known."""
    return max((n for n, day in enumerate(counted) if any(one.startswith(f"{source} ") for one in day)), default=0)


def advice(used: int, newest: int, secrets: int, days: int) -> str:
    if secrets == 1:
        return "the only one: needed"
    if used and newest - used < QUIET * 86400:
        return "in use"
    if newest and days >= QUIET:
        return f"safe to remove: not needed for {QUIET} days, while another was"
    return "not used yet: look again later"
