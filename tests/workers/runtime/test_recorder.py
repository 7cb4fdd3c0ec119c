"""How attempts ended, recorded together."""

import time
from collections.abc import Sequence

from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Ticket, Verdict
from workers.runtime.pipe import make_pair
from workers.runtime.recorder import Recorder


def test_ends_that_come_one_by_one_are_recorded_together(ledger: Ledger) -> None:
    calls: list[int] = []

    class Counting(Ledger):
        def finish(self, outcomes: Sequence[Outcome]) -> list[str]:
            calls.append(len(outcomes))
            return super().finish(outcomes)

    ended: list[Ticket] = []
    mine, theirs = make_pair()
    recorder = Recorder(Counting(ledger.client, ledger.keys), mine, 0, lambda units, told: ended.extend(units))
    recorder.start()
    for number in range(40):
        recorder.put(Outcome(unit=f"evt_{number:026d}-{0:012x}", token=1, verdict=Verdict.DONE))
        time.sleep(0.0005)
    recorder.stop()
    theirs.close()
    mine.close()

    assert len(ended) == 40
    assert len(calls) < 30
