"""Reports as a table, a row each."""

from .checker import Report

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
