"""zyra-receiver metrics"""

from dataclasses import dataclass
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry

from receiver.contract.ledger_metrics import DESCRIPTIONS, Description
from receiver.metrics import Metrics

from ..output import print_json, print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Listed:
    """A metric and who shows it."""

    metric: Description
    of: str


@app.command()
def metrics(
    as_lines: Annotated[bool, typer.Option("--json", help="Print JSON lines.")] = False,
    list_all: Annotated[bool, typer.Option("--list", help="List all metrics, which is the default.")] = True,
) -> None:
    """List the metrics that receivers and workers show on METRICS_PORT."""
    rows = [
        {"name": one.metric.sample, "labels": ",".join(one.metric.labels), "of": one.of, "meaning": one.metric.text}
        for one in list_metrics()
    ]
    if as_lines:
        for row in rows:
            print_json(row)
    else:
        print_table(("name", "labels", "of", "meaning"), [tuple(row.values()) for row in rows])


def list_metrics() -> list[Listed]:
    own = [Listed(one, "receivers") for one in Metrics(CollectorRegistry()).describe()]
    return own + [Listed(one, "receivers and workers") for one in DESCRIPTIONS.values()]
