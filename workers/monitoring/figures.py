"""What status and metrics both compute."""

from receiver.contract.connection import decode_text
from receiver.contract.records import read_number

from ..ledger.transitions import Ledger

EVENT_INDEXES = {  # the label people see, and the index in Redis
    "accepted": "pending",
    "dispatching": "dispatching",
    "parked": "parked",
    "dispatched": "open",
    "dead": "dead",
}
RUN_INDEXES = {"queued": "queued", "running": "running", "waiting": "waiting"}


def measure_oldest(ledger: Ledger, now: float) -> float:
    """Seconds since the oldest event that is not dispatched was queued; 0 where there is none. now: Redis' time."""
    first = ledger.client.zrange(ledger.keys.name("pending"), 0, 0)
    if not first:
        return 0.0
    again, received = ledger.client.hmget(ledger.keys.event(decode_text(first[0])), "queued_at", "received_at")
    return max(0.0, now - read_number(again or received) / 1000)
