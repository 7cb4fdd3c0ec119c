"""The pytest plugin: the fixture `zyra`."""

import pytest

from ..sandbox.in_process import SandboxInProcess


@pytest.fixture
def zyra() -> SandboxInProcess:
    """Zyra's API in this process: `zyra.add("invoices", "inv_1", total="48.00")` puts a row there, `zyra.calls` has
    what it was asked. Pass it to `run_handler(..., zyra=zyra)`.
    """
    return SandboxInProcess()
