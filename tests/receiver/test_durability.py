from typing import Any

import pytest

from receiver.contract.settings import Durability
from receiver.durability import judge

GOOD = {"role": "master", "aof_enabled": 1, "connected_slaves": 1}
SET = {"appendfsync": "everysec", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize(
    ("level", "info", "config", "lacking"),
    [
        (Durability.EVERYSEC, {}, {}, ""),
        (Durability.ALWAYS, {}, {"appendfsync": "always"}, ""),
        (Durability.ALWAYS, {}, {}, "appendfsync is everysec"),
        (Durability.EVERYSEC, {}, {"appendfsync": "no"}, "appendfsync is no"),
        (Durability.EVERYSEC, {"aof_enabled": 0}, {}, "appendonly is off"),
        (Durability.NONE, {"aof_enabled": 0}, {}, ""),
        (Durability.NONE, {}, {"maxmemory-policy": "allkeys-lru"}, "may drop accepted events"),
        (Durability.NONE, {"role": "slave"}, {}, "is a replica"),
        (Durability.REPLICATED, {}, {}, ""),
        (Durability.REPLICATED, {"connected_slaves": 0}, {}, "0 replicas are connected"),
    ],
)
def test_what_redis_lacks(level: Durability, info: dict[str, Any], config: dict[str, str], lacking: str) -> None:
    found = judge(level, GOOD | info, SET | config).lacks

    assert (lacking in found[0]) if lacking else found == ()


def test_what_redis_hides_is_no_lack() -> None:
    for level, info, hidden in (
        (Durability.EVERYSEC, GOOD, 2), (Durability.EVERYSEC, {}, 3), (Durability.REPLICATED, {}, 2), (Durability.NONE, {}, 1),
    ):  # fmt: skip
        found = judge(level, info, {})
        assert found.lacks == ()
        assert len(found.hidden) == hidden
