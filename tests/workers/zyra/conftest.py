from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sandbox import PLENTY, Sandbox, playing


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with playing(tmp_path, PLENTY) as found:
        yield found
