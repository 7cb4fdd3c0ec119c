import asyncio

import pytest

from receiver.contract.keys import Keys
from receiver.contract.settings import Durability
from receiver.readiness import Watch
from receiver.redis_connections import connect
from tests.support.kit import Server


def test_an_outage_is_told_once_and_readiness_stays(own_server: Server) -> None:
    async def look() -> list[tuple[bool, list[str]]]:
        watch = Watch(connect(own_server.url, "{t}"), Keys("t"), Durability.EVERYSEC)
        seen = []
        for step in (lambda: None, own_server.stop, lambda: None, own_server.start):
            step()
            await watch.look()
            seen.append((watch.reachable, watch.unready))
        watch.draining = True
        seen.append((watch.reachable, watch.unhealthy))
        await watch.client.aclose()
        return seen

    assert asyncio.run(look()) == [(True, []), (False, []), (False, []), (True, []), (True, ["draining"])]


def test_before_the_first_answer_nobody_is_ready() -> None:
    async def look() -> list[str]:
        watch = Watch(connect("redis://127.0.0.1:1/0", "{t}"), Keys("t"), Durability.EVERYSEC)
        await watch.look()
        return watch.unready

    assert asyncio.run(look()) == ["Redis has not answered yet"]


def test_who_may_not_ask_is_told_so_and_is_ready(own_server: Server) -> None:
    async def look() -> tuple[bool, int]:
        watch = Watch(connect(own_server.url, "{t}"), Keys("t"), Durability.EVERYSEC)
        await watch.client.execute_command("ACL", "SETUSER", "default", "-config", "-info")
        await watch.look()
        await watch.client.aclose()
        return watch.met, len(watch.verdict.hidden)

    assert asyncio.run(look()) == (True, 3)


def test_hidden_settings_do_not_stop_readiness(own_server: Server) -> None:
    async def look() -> tuple[list[str], int]:
        watch = Watch(connect(own_server.url, "{t}"), Keys("t"), Durability.EVERYSEC)
        await watch.client.execute_command("ACL", "SETUSER", "default", "-config")
        await watch.look()
        await watch.client.aclose()
        return watch.unready, len(watch.verdict.hidden)

    assert asyncio.run(look()) == ([], 1)


def test_what_deliveries_would_get_is_told_before_one_comes(
    own_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def look() -> list[tuple[str, list[str], bool]]:
        watch = Watch(connect(own_server.url, "{t}"), Keys("t"), Durability.EVERYSEC, max_pending=2)
        seen = []
        for command in (
            ("PING",),
            ("CONFIG", "SET", "min-replicas-to-write", "1"),
            ("CONFIG", "SET", "min-replicas-to-write", "0"),
            ("ZADD", watch.keys.name("pending"), "1", "a", "2", "b"),
            ("ZREM", watch.keys.name("pending"), "a"),
            ("SET", watch.keys.name("running"), "junk"),
        ):
            await watch.client.execute_command(*command)
            await watch.look()
            seen.append((watch.refusal, watch.unhealthy, watch.reachable))
        await watch.client.aclose()
        return seen

    fine, replicas, again, pending, room, junk = asyncio.run(look())

    assert fine == again == room == junk == ("", [], True)
    assert replicas[0] == "too few replicas confirm what is written"
    assert replicas[1:] == (["deliveries get 503: too few replicas confirm what is written"], True)
    assert pending[0] == "2 events are open, and MAX_PENDING is 2: do workers run?"
    assert [record.getMessage() for record in caplog.records] == [f"deliveries get 503: {replicas[0]}"]
