"""zyra-receiver sources"""

import time
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from receiver import settings
from receiver.contract.connection import connect, decode_text
from receiver.notices import KEEP_DAYS, name_secret
from receiver.sources import Source

from ...ledger import query
from ..local import read_environment
from ..output import print_json, print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)
QUIET_DAYS = 3  # without a use, while another secret of the source was used, after which one is safe to remove


@app.command()
def sources(as_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False) -> None:
    """List the sources, how many deliveries each secret verified in the last week, and which is safe to remove."""
    config = settings.read(read_environment())
    keys = config.keys
    client = connect(config.redis_url, keys.tag)
    now = time.time()
    last = {decode_text(k): int(v) for k, v in client.hgetall(keys.name("secrets")).items()}
    days = [f"{datetime.fromtimestamp(now, UTC) - timedelta(days=n):%Y%m%d}" for n in range(KEEP_DAYS)]
    counted = [{decode_text(k): int(v) for k, v in client.hgetall(keys.name(f"secrets:{day}")).items()} for day in days]
    rows = []
    for source in config.sources.values():
        if not source.list_texts():
            rows.append(describe_without_secret(source))
        marks = [name_secret(config.seal, source, one) for _, one in source.list_texts()]
        newest = max((last.get(one, 0) for one in marks), default=0)
        for (name, _), one in zip(source.list_texts(), marks, strict=True):
            used, count = last.get(one, 0), sum(day.get(one, 0) for day in counted)
            rows.append(
                {
                    "source": source.name,
                    "scheme": source.scheme.title,
                    "secret": name,
                    "deliveries": count,
                    "last_used": query.format_time(used * 1000) if used else None,
                    "advice": give_advice(used, newest, len(marks), count_days(counted, source.name)),
                }
            )
    if as_lines:
        for row in rows:
            print_json(row)
        return
    head = ("SOURCE", "SCHEME", "SECRET", "DELIVERIES", "LAST USED", "")
    print_table(head, map(make_cells, rows))


def make_cells(row: dict[str, Any]) -> list[object]:
    if row["secret"] is None:
        return [row["source"], row["scheme"], "-", "-", "-", row["advice"]]
    return [value if value is not None else "never" for value in row.values()]


def describe_without_secret(source: Source) -> dict[str, Any]:
    """The row of a source that holds no secret."""
    state = "keys are fetched" if source.fetches else "waits for the provider to tell its secret"
    return {
        "source": source.name, "scheme": source.scheme.title, "secret": None, "deliveries": None, "last_used": None,
        "advice": state,
    }  # fmt: skip


def count_days(counted: list[dict[str, int]], source: str) -> int:
    """For how many days uses of the source are known."""
    return max((n for n, day in enumerate(counted) if any(one.startswith(f"{source} ") for one in day)), default=0)


def give_advice(used: int, newest: int, secrets: int, days: int) -> str:
    if secrets == 1:
        return "the only one: needed"
    if used and newest - used < QUIET_DAYS * 86400:
        return "in use"
    if newest and days >= QUIET_DAYS:
        return f"safe to remove: not needed for {QUIET_DAYS} days, while another was"
    return "not used yet: look again later"
