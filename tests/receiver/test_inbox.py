"""The writer's own rules: batches, doubts, replicas."""

import asyncio
import subprocess
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import redis as blocking

from receiver import inbox as module
from receiver.contract.keys import Keys, event_id
from receiver.contract.records import Content, Event, Labels
from receiver.contract.seal import Seal
from receiver.contract.settings import Durability
from receiver.errors import Unavailable
from receiver.inbox import Inbox, Receipt, cause, connect
from receiver.sources import Accepted
from tests.kit import Server, answers, wait_for
from workers.cli.embedded import binary


def accepted(number: int = 0, mark: str = "", window: float = 60) -> Accepted:
    labels = Labels(id=event_id(number), source="zyra", type="a", received_at=number)
    return Accepted(event=Event(labels=labels, content=Content(body=b"x")), mark=mark or str(number), window=window)


def using(url: str, keys: Keys, seal: Seal, act: Callable[[Inbox], Any], **options: Any) -> Any:
    async def inside() -> Any:
        client = connect(url)
        try:
            return await act(Inbox(client, keys, seal, **options))
        finally:
            await client.aclose()

    return asyncio.run(inside())


def test_what_waits_at_once_is_one_round_trip(server: Server, keys: Keys, seal: Seal, client: blocking.Redis) -> None:
    client.config_resetstat()

    async def act(inbox: Inbox) -> list[Receipt]:
        return await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(600)))

    receipts = using(server.url, keys, seal, act)

    assert len({receipt.id for receipt in receipts}) == 600
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] <= 4
    assert client.llen(keys.jobs) == 600


def test_no_window_is_no_mark(server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> list[Receipt]:
        return [await inbox.accept(accepted(n, "same", 0)) for n in range(2)]

    assert [receipt.duplicate for receipt in using(server.url, keys, seal, act)] == [False, False]


def test_a_failed_batch_refuses_exactly_its_requests(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    client.set(keys.named("events"), "junk")

    async def act(inbox: Inbox) -> list[Any]:
        refused = await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(3)), return_exceptions=True)
        client.delete(keys.named("events"))
        return [*refused, await inbox.accept(accepted(9))]

    *refused, taken = using(server.url, keys, seal, act)

    assert [error.cause for error in refused] == ["wrongtype"] * 3
    assert isinstance(taken, Receipt)


def test_who_waits_too_long_is_refused_and_the_event_may_be_there(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET", 0.2)

    async def act(inbox: Inbox) -> tuple[str, Receipt]:
        await inbox.accept(accepted(1))
        own_server.pause()
        with pytest.raises(Unavailable) as caught:
            await inbox.accept(accepted(2))
        own_server.resume()
        monkeypatch.setattr(module, "BUDGET", 5)
        return caught.value.cause, await inbox.accept(accepted(2))

    said, receipt = using(own_server.url, keys, seal, act)

    assert said == "slow"
    assert receipt.duplicate


def test_an_answer_after_the_wait_is_for_nobody(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUDGET", 0.2)

    async def act(inbox: Inbox) -> Receipt:
        await inbox.accept(accepted(1))
        own_server.pause()
        waiting = asyncio.gather(inbox.accept(accepted(2)), return_exceptions=True)
        await asyncio.sleep(0.5)
        own_server.resume()
        (refused,) = await waiting
        assert isinstance(refused, Unavailable)
        await asyncio.sleep(0.3)
        return await inbox.accept(accepted(2))

    assert using(own_server.url, keys, seal, act).duplicate


def test_a_fault_of_ours_is_a_doubt_too(server: Server, keys: Keys) -> None:
    nothing: Any = None

    async def act(inbox: Inbox) -> Any:
        return (await asyncio.gather(inbox.accept(accepted(1)), return_exceptions=True))[0]

    assert isinstance(using(server.url, keys, nothing, act), Unavailable)


def test_a_crowd_is_refused_before_it_waits(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING", 5)

    async def act(inbox: Inbox) -> list[Any]:
        own_server.pause()
        found = await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(20)), return_exceptions=True)
        own_server.resume()
        return list(found)

    causes = [error.cause for error in using(own_server.url, keys, seal, act)]

    assert "busy" in causes
    assert set(causes) <= {"busy", "redis", "slow"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("OOM command not allowed", "oom"),
        ("READONLY You can't", "readonly"),
        ("anything", "redis"),
        ("only 0 replicas", "replicas"),
    ],
)
def test_causes_are_one_word(text: str, word: str) -> None:
    assert cause(RuntimeError(text)) == word


def test_replicated_means_that_replicas_confirmed(own_server: Server, keys: Keys, seal: Seal) -> None:
    options: dict[str, Any] = {"durability": Durability.REPLICATED, "replicas": 1}

    async def one(inbox: Inbox) -> Any:
        return (await asyncio.gather(inbox.accept(accepted(1)), return_exceptions=True))[0]

    refused = using(own_server.url, keys, seal, one, **options)
    assert isinstance(refused, Unavailable)
    assert refused.cause == "replicas"
    primary = blocking.Redis.from_url(own_server.url)
    with tempfile.TemporaryDirectory(prefix="zr-") as folder:
        primary.config_set("port", 0)
        port = free_tcp(primary)
        command = [
            binary(),
            "--port",
            "0",
            "--unixsocket",
            f"{folder}/r.sock",
            "--dir",
            folder,
            "--replicaof",
            f"127.0.0.1 {port}",
        ]
        replica = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            second = blocking.Redis.from_url(f"unix://{folder}/r.sock")
            wait_for(lambda: answers(second) and second.info("replication")["master_link_status"] == "up")
            assert isinstance(using(own_server.url, keys, seal, one, **options), Receipt)
            second.close()
        finally:
            replica.kill()
            replica.wait()
    primary.close()


def free_tcp(primary: blocking.Redis) -> int:
    from tests.kit import free_port

    port = free_port()
    primary.config_set("port", port)
    return port
