"""What commands print: words on a terminal, plain lines in a pipe, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from receiver.contract.logs import escape

T = TypeVar("T")


def print_line(*parts: object) -> None:
    print(*(escape(str(part)) for part in parts))


def print_note(text: str) -> None:
    """Prints to standard error what is neither a result nor the error that ends the command."""
    for one in text.splitlines():
        print(escape(one), file=sys.stderr)


def print_red(text: str) -> None:
    """Prints to standard error, in red where somebody watches."""
    colored = sys.stderr.isatty() and "NO_COLOR" not in os.environ  # https://no-color.org
    for one in map(escape, text.splitlines()):
        print(f"\x1b[31m{one}\x1b[0m" if colored else one, file=sys.stderr)


def print_json(value: Any) -> None:
    print(encode(value), flush=True)


def encode(value: Any) -> str:
    """JSON in which a number stays a number."""
    return json.dumps(value, default=lambda one: float(one) if isinstance(one, Decimal) else str(one))


def cut(rows: Iterable[T], limit: int) -> Iterator[T]:
    """The first rows, at most so many; says on standard error if there are more."""
    for number, row in enumerate(rows):
        if number == limit:
            print_note(f"there are more than {limit}: raise --limit to get them")
            return
        yield row


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns on a terminal; tabs between fields, and no head, in a pipe."""
    cells = [[escape(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            print("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    for row in [list(head), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


FIRST = ("id", "name", "status", "invoice_number", "url", "event_type", "created_at", "total")
MAX_COLUMNS = 6


class ResultPrinter:
    """Prints objects of unknown shape: JSON in a pipe, else lines or a table of the most useful fields."""

    def __init__(self, plain: bool, limit: int) -> None:
        self.plain = plain
        self._limit = limit

    def print_one(self, result: Any) -> int:
        if self.plain or not isinstance(result, dict):
            print_json(result)
        else:
            for name, value in result.items():
                print_line(f"{name}:", encode(value) if isinstance(value, dict | list) else value)
        return 0

    def print_many(self, rows: Iterable[Mapping[str, Any]]) -> int:
        shown = list(cut(rows, self._limit))
        if self.plain:
            for row in shown:
                print_json(row)
            return 0
        present = [name for name in FIRST if any(name in row for row in shown)]
        rest = [name for row in shown[:1] for name, value in row.items() if not isinstance(value, dict | list)]
        names = list(dict.fromkeys(present + rest))[:MAX_COLUMNS] or FIRST[:3]
        print_table([name.upper() for name in names], [[row.get(name, "") for name in names] for row in shown])
        return 0
