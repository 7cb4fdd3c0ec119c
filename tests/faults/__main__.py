"""make faults: every row, or with CONTROL=1 the rows that must fail, or with ROW=7 the rows of that number."""

import os
import sys
import time

from .checker import Report
from .matrix import CONTROLS, ROWS

COUNTS = (
    "sent", "acked", "refused", "unknown", "handled", "lost", "after_done", "overlaps", "repeats", "allowed", "doubles",
    "unexpected",
)  # fmt: skip
SECONDS = ("slowest_ack", "worst_delay", "recovery")


def head() -> None:
    names = [name.replace("_", " ") for name in ("row", *COUNTS, *(f"{name} s" for name in SECONDS), "verdict")]
    print("| " + " | ".join(names) + " |\n|" + "---|" * len(names), flush=True)


def show(report: Report, verdict: str) -> None:
    counts = [str(getattr(report, name)) for name in COUNTS]
    seconds = [f"{getattr(report, name):.2f}" for name in SECONDS]
    said = f"{verdict}: {report.note}" if report.note else verdict
    print("| " + " | ".join([report.row, *counts, *seconds, said]) + " |", flush=True)


def controls() -> int:
    """How many of the rows that must fail did hold."""
    blind = 0
    for row, guard in CONTROLS:
        report = row.run(without=guard)
        blind += report.holds
        show(report, "HOLDS: the checker is blind" if report.holds else "fails, as it must")
    return blind


def matrix(only: str) -> int:
    """How many rows failed."""
    failed = 0
    for row in ROWS:
        if only in ("", row.name.split()[0]):
            report = row.run()
            failed += not report.holds
            show(report, "holds" if report.holds else "FAILS")
    return failed


def main() -> int:
    started = time.monotonic()
    head()
    bad = controls() if os.environ.get("CONTROL") else matrix(os.environ.get("ROW", ""))
    print(f"\n{time.monotonic() - started:.0f} s", file=sys.stderr)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
