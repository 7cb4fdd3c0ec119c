"""What commands print: words on a terminal, plain lines in a pipe, JSON on request."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from receiver.contract.logs import printable


def line(*parts: object) -> None:
    print(*(printable(str(part)) for part in parts))


def as_json(value: Any) -> None:
    print(json.dumps(value, default=str), flush=True)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns on a terminal; tabs between fields, and no head, in a pipe."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for row in [list(head), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
