from collections.abc import Iterator

import pytest
import redis

from receiver.contract.seal import Seal
from tests.support.kit import Tool, accept, dispatch
from tests.support.run import HANDLER, Run
from tests.support.sandbox import KEY, Sandbox
from workers.cli import main
from workers.ledger.transitions import Ledger
from workers.zyra import budget


@pytest.fixture
def run(ledger: Ledger, seal: Seal, sandbox: Sandbox, client: redis.Redis) -> Iterator[Run]:
    accept(ledger, seal)
    dispatch(ledger, ledger.take([], 1)[0], "dispatched", "", [HANDLER])
    (claim,) = ledger.take([], 1)
    found = Run(ledger, seal, sandbox, claim)
    yield found
    found.line.close()
    for name in ledger.of_api.scan_iter(budget.make_prefix(budget.compute_fingerprint(KEY)) + "*"):
        ledger.of_api.delete(name)


@pytest.fixture
def tool(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Tool:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        code = ended.value.code
        return code if isinstance(code, int) else 1, out, err

    return call
