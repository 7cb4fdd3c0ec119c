"""zyra-receiver ledger"""

from collections import Counter

import typer

from receiver.contract.body import read
from receiver.contract.errors import Unreadable
from receiver.contract.figures import read_counters
from receiver.contract.records import EventRecord

from ...ledger.reseal import reseal_all
from ...ledger.transitions import Ledger
from ...runtime.dispatch import index_event
from ..access import open_ledger
from ..output import print_line

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def ledger() -> None:
    """Keep the ledger in order."""


@app.command()
def reseal() -> int:
    """Seal every event with the first key of SEAL_KEY, so that older keys may go. Exits with 1 if some must wait."""
    ledger, config = open_ledger()

    def index(opened: EventRecord) -> str:
        try:
            return index_event(opened, read(opened.content), config.seal)
        except Unreadable:
            return ""

    done = Counter(outcome for _, outcome in reseal_all(ledger, config.seal, index))
    moved, busy = done.pop("moved", 0), done.pop("busy", 0)
    print_line(f"{moved} events moved to the key {config.seal.first_key}")
    if busy:
        print_line(f"{busy} are under way, or a person said something of their calls: run it again later")
    for why, count in done.items():
        print_line(f"{count} cannot be moved: {why}")
    if not busy and not done:
        forget_counts(ledger, config.seal.first_key)
        print_line("older keys may be removed from SEAL_KEY")
    return 1 if busy or done else 0


def forget_counts(ledger: Ledger, first: str) -> None:
    """Nothing is sealed with another key any more: what their counts still say is the drift of records set aside."""
    for name in read_counters(ledger.client, ledger.keys):
        if name.startswith("sealed:") and name != f"sealed:{first}":
            ledger.client.hdel(ledger.keys.name("counters"), name)
