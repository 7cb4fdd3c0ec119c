from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.sandbox import KEY, PLENTY, Sandbox, playing


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: redis.Redis) -> Iterator[Sandbox]:
    with playing(tmp_path, PLENTY) as found:
        monkeypatch.setenv("ZYRA_API_URL", found.url)
        monkeypatch.setenv("ZYRA_API_KEY", KEY)
        monkeypatch.setenv("ZYRA_API_LIMITS", "create=1000,read=1000")
        monkeypatch.setenv("ZYRA_SCIM_TOKEN", "scim-demo")
        yield found
    for name in client.scan_iter("zr::api*"):
        client.delete(name)
