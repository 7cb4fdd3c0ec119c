"""make faults: every row, or with CONTROL=1 the rows that must fail."""

import os
import sys

from .checker import Report
from .rows import CONTROLS, LONG, SHORT, run

HEAD = ("row", "sent", "acked", "refused", "unknown", "handled", "lost", "repeats", "allowed", "doubles", "unexpected")


def show(report: Report, verdict: str) -> None:
    cells = [report.row, *(str(getattr(report, name)) for name in HEAD[1:])]
    print(
        "| " + " | ".join([*cells, f"{report.slowest_ack:.2f}", f"{report.recovery:.1f}", verdict]) + " |", flush=True
    )


def main() -> int:
    print("| " + " | ".join([*HEAD, "slowest ack s", "recovery s", "verdict"]) + " |\n|" + "---|" * (len(HEAD) + 3))
    failed = 0
    if os.environ.get("CONTROL"):
        for name, row, guards in CONTROLS:
            report = run(row, **guards)
            failed += report.holds
            show(report, f"holds {name}: the checker is blind" if report.holds else f"fails {name}, as it must")
        return failed
    for row in SHORT + LONG:
        report = run(row)
        failed += not report.holds
        show(report, "holds" if report.holds else "FAILS")
    return failed


if __name__ == "__main__":
    sys.exit(main())
