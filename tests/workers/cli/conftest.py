from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.kit import accept, dispatch
from tests.support.sandbox import KEY, PLENTY, Sandbox, playing
from workers.ledger.transitions import Ledger
from workers.ledger.units import Outcome, Verdict


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: redis.Redis) -> Iterator[Sandbox]:
    with playing(tmp_path, PLENTY) as found:
        monkeypatch.setenv("ZYRA_API_URL", found.url)
        monkeypatch.setenv("ZYRA_API_KEY", KEY)
        monkeypatch.setenv("ZYRA_API_LIMITS", "create=1000,read=1000")
        monkeypatch.setenv("ZYRA_SCIM_TOKEN", "scim-demo")
        yield found
    for name in client.scan_iter("zr::{api}*"):
        client.delete(name)


@pytest.fixture
def dead(ledger: Ledger, seal: Seal) -> Callable[[], str]:
    def make() -> str:
        event = accept(ledger, seal, b'{"a": "\xff"}', kind="basic.two")
        (one,) = ledger.take([], 1)
        dispatch(ledger, one, "dispatched", "", ["good", "flaky"])
        one, two = ledger.take([], 5)
        done = Outcome(unit=one.unit, token=1, verdict=Verdict.DONE)
        ledger.finish([done, Outcome(unit=two.unit, token=1, verdict=Verdict.DEAD, error="no\x1b[31m")])
        return event

    return make
