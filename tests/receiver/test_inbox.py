"""The writer's own rules: batches, doubts, replicas."""

import asyncio
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis as blocking
from redis.exceptions import AskError, TryAgainError

from receiver import inbox as module
from receiver.contract.keys import Keys, make_event_id
from receiver.contract.records import Content, EventRecord, Labels
from receiver.contract.redis_faults import name_cause
from receiver.contract.seal import Seal
from receiver.contract.settings import Durability
from receiver.contract.slot import SlotMoved
from receiver.errors import Unavailable
from receiver.inbox import Inbox, Receipt
from receiver.redis_connections import connect
from receiver.sources import Accepted
from tests.support.cluster import CLUSTER
from tests.support.kit import Server, answers, wait_for
from workers.cli.embedded import binary


def accepted(number: int = 0, mark: str = "", window: float = 60) -> Accepted:
    labels = Labels(id=make_event_id(number), source="zyra", type="a", received_at=number)
    return Accepted(
        event=EventRecord(labels=labels, content=Content(body=b"x")), mark=mark or str(number), window=window
    )


def waiting(count: int) -> list[module.Entry]:
    loop = asyncio.get_running_loop()
    return [module.Entry(accepted(n), loop.create_future(), loop.time()) for n in range(count)]


def using(url: str, keys: Keys, seal: Seal, act: Callable[[Inbox], Any], **options: Any) -> Any:
    async def inside() -> Any:
        client = connect(url, keys.tag)
        try:
            return await act(Inbox(client, keys, seal, **options))
        finally:
            await client.aclose()

    return asyncio.run(inside())


def test_the_numbers_that_bound_it(seal: Seal) -> None:
    assert (module.MAX_BATCH_EVENTS, module.MAX_BATCH_BYTES, module.MAX_BATCHES, module.MAX_WAITING) == (
        64,
        4 << 20,
        3,
        4096,
    )
    inbox = Inbox(connect("redis://127.0.0.1:1", "{t}"), Keys("q"), seal)
    assert (inbox._max_pending, inbox._replicas) == (100_000, 0)
    assert Inbox(inbox._client, Keys("q"), seal, durability=Durability.REPLICATED)._replicas == 1
    assert module.ANSWER_SECONDS == 1.5  # answers are promised within 2 s, and the loop may be late


def test_what_waits_at_once_is_written_in_few_round_trips(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    client.config_resetstat()

    async def act(inbox: Inbox) -> list[Receipt]:
        return await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(600)))

    receipts = using(server.url, keys, seal, act)

    assert len({receipt.id for receipt in receipts}) == 600
    assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 600 // module.MAX_BATCH_EVENTS + 1
    assert client.llen(keys.jobs) == 600


def test_no_window_is_no_mark(server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> list[Receipt]:
        return [await inbox.accept(accepted(n, "same", 0)) for n in range(2)]

    assert [receipt.duplicate for receipt in using(server.url, keys, seal, act)] == [False, False]


def test_a_failed_batch_refuses_exactly_its_requests(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    client.set(keys.name("events"), "junk")

    async def act(inbox: Inbox) -> list[Any]:
        refused = await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(3)), return_exceptions=True)
        client.delete(keys.name("events"))
        return [*refused, await inbox.accept(accepted(9))]

    *refused, taken = using(server.url, keys, seal, act)

    assert [error.cause for error in refused] == ["wrongtype"] * 3
    assert isinstance(taken, Receipt)


def test_who_waits_too_long_is_refused_and_the_event_may_be_there(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)

    async def act(inbox: Inbox) -> tuple[str, Receipt]:
        await inbox.accept(accepted(1))
        own_server.pause()
        with pytest.raises(Unavailable) as caught:
            await inbox.accept(accepted(2))
        own_server.resume()
        monkeypatch.setattr(module, "ANSWER_SECONDS", 5)
        return caught.value.cause, await inbox.accept(accepted(2))

    said, receipt = using(own_server.url, keys, seal, act)

    assert said == "slow"
    assert receipt.duplicate


def test_an_answer_after_the_wait_is_for_nobody(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)

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

    refused = using(server.url, keys, nothing, act)
    assert isinstance(refused, Unavailable)
    assert refused.cause == "fault"  # at once, and not when the wait is over


def test_a_crowd_is_refused_before_it_waits(
    own_server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 5)

    async def act(inbox: Inbox) -> list[Any]:
        own_server.pause()
        found = await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(20)), return_exceptions=True)
        own_server.resume()
        return list(found)

    causes = [error.cause for error in using(own_server.url, keys, seal, act)]

    assert causes.count("busy") == 15
    assert set(causes) <= {"busy", "redis", "slow"}


def test_causes_are_one_word_by_what_redis_says(own_server: Server) -> None:
    """By real answers: redis-py takes the code out of some texts."""
    client = blocking.Redis.from_url(own_server.url)
    script = "#!lua\nreturn redis.call('SET', KEYS[1], 'b')"
    client.config_set("maxmemory", 1)
    assert hear_cause(client, "EVAL", script, 1, "a") == hear_cause(client, "SET", "a", "b") == "oom"
    client.config_set("maxmemory", 0)
    client.set("a", "b")
    assert hear_cause(client, "LPUSH", "a", "b") == "wrongtype"
    client.config_set("min-replicas-to-write", 1)
    assert hear_cause(client, "EVAL", script, 1, "a") == hear_cause(client, "SET", "a", "b") == "replicas"
    client.config_set("min-replicas-to-write", 0)
    client.execute_command("ACL", "SETUSER", "u", "on", ">p", "+ping")
    for password, word in (("p", "noperm"), ("wrong", "wrongpass")):
        other = blocking.Redis.from_url(own_server.url.replace("://", f"://u:{password}@"))
        assert hear_cause(other, "EVAL", script, 1, "a") == word
        other.close()
    client.config_set("requirepass", "p")
    other = blocking.Redis.from_url(own_server.url, protocol=2)
    assert hear_cause(other, "SET", "a", "b") == "noauth"
    other.close()
    client.close()


def hear_cause(client: blocking.Redis, *command: str | int) -> str:
    """The cause of what Redis says to a command that it refuses."""
    with pytest.raises(blocking.RedisError) as refused:
        client.execute_command(*command)
    return name_cause(refused.value)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (SlotMoved("MOVED 1 127.0.0.1:1"), "moved"),
        (SlotMoved("READONLY You can't"), "readonly"),
        (SlotMoved("CLUSTERDOWN The cluster is down"), "clusterdown"),
        (TryAgainError("Multiple keys request during rehashing of slot"), "moving"),
        (AskError("1 127.0.0.1:1"), "moving"),
        (blocking.BusyLoadingError("LOADING Redis is loading"), "loading"),
        (blocking.ResponseError("MISCONF Errors writing to the AOF file"), "misconf"),
        (blocking.RedisError("only 0 replicas confirmed"), "replicas"),
        (OSError("anything"), "redis"),
    ],
)
def test_causes_are_one_word(error: Exception, word: str) -> None:
    assert name_cause(error) == word


@pytest.mark.skipif(CLUSTER, reason="it gives its server a replica: tests/faults does so in a cluster")
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
            wait_for(lambda: isinstance(using(own_server.url, keys, seal, one, **options), Receipt))  # it confirms
            replica.send_signal(signal.SIGSTOP)
            silent = using(own_server.url, keys, seal, one, **options)
            threading.Timer(0.15, replica.send_signal, [signal.SIGCONT]).start()
            late = using(own_server.url, keys, seal, one, **options)
            assert isinstance(silent, Unavailable)
            assert silent.cause == "replicas"
            assert isinstance(late, Receipt)  # it is waited for, half a second
            second.close()
        finally:
            replica.kill()
            replica.wait()
    primary.close()


def free_tcp(primary: blocking.Redis) -> int:
    from tests.support.kit import free_port

    port = free_port()
    primary.config_set("port", port)
    return port


def test_batches_are_bounded(server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BATCH_EVENTS", 10)
    monkeypatch.setattr(module, "MAX_BATCH_BYTES", 5)

    async def act(inbox: Inbox) -> list[int]:
        sizes: list[int] = []
        write = inbox._write

        async def spy(batch: Any) -> Any:
            sizes.append(len(batch))
            return await write(batch)

        inbox._write = spy  # type: ignore[method-assign]
        await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(12)))
        return sizes

    assert using(server.url, keys, seal, act) == [5, 5, 2]  # of one byte each


def test_what_comes_meanwhile_waits_until_it_fills_a_batch(
    server: Server, keys: Keys, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is under way is waited for; more at once only if they are full, and never more than so many."""
    monkeypatch.setattr(module, "MAX_BATCH_EVENTS", 10)

    async def act(inbox: Inbox) -> list[list[int]]:
        sizes: list[int] = []
        answered = asyncio.Event()
        write = inbox._write

        async def far(batch: Any) -> Any:
            sizes.append(len(batch))
            await answered.wait()
            return await write(batch)

        inbox._write = far  # type: ignore[method-assign]
        receipts, seen = list[Any](), list[Any]()
        for count in (1, 9, 1, 9, 1, 100):
            for _ in range(count):
                receipts.append(inbox.accept(accepted(len(receipts))))
                await asyncio.sleep(0)
            seen.append(list(sizes))
        answered.set()
        await asyncio.gather(*receipts)
        return [*seen, sorted(sizes)]

    *seen, sizes = using(server.url, keys, seal, act)

    assert seen == [[1], [1], [1, 10], [1, 10], [1, 10, 10], [1, 10, 10]]
    assert sizes == [1] + 12 * [10]


def test_who_comes_as_a_batch_ends_is_written(server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> None:
        for n in range(200):
            receipt = inbox.accept(accepted(n))
            for _ in range(n % 10):
                await asyncio.sleep(0)
            other = inbox.accept(accepted(1000 + n))
            async with asyncio.timeout(1):
                await asyncio.gather(receipt, other)

    using(server.url, keys, seal, act)


def test_who_gave_up_before_the_batch_is_not_written(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    async def act(inbox: Inbox) -> None:
        gone, other = inbox.accept(accepted(0)), inbox.accept(accepted(1))
        gone.set_exception(Unavailable("shutdown"))
        gone.exception()
        assert (await other).id

    using(server.url, keys, seal, act)

    assert client.llen(keys.jobs) == 1


def test_an_answer_for_nobody_does_not_take_the_next_ones(server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> str:
        entries = waiting(2)
        entries[0].receipt.set_exception(Unavailable("shutdown"))
        entries[0].receipt.exception()
        inbox._settle(entries, [b"accepted", b"a", b"accepted", b"b"])
        return entries[1].receipt.result().id

    assert using(server.url, keys, seal, act) == "b"


def test_too_many_that_are_open_are_refused_with_a_word(server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> Any:
        return await asyncio.gather(*(inbox.accept(accepted(n)) for n in range(2)), return_exceptions=True)

    taken, refused = using(server.url, keys, seal, act, max_pending=1)

    assert isinstance(taken, Receipt)
    assert isinstance(refused, Unavailable)
    assert refused.cause == "full"


def test_one_script_is_loaded_once_and_nobody_waits_for_replicas(own_server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> None:
        for n in range(3):
            await inbox.accept(accepted(n))

    using(own_server.url, keys, seal, act)

    with blocking.Redis.from_url(own_server.url) as client:
        said = client.info("commandstats")
    assert said["cmdstat_script|load"]["calls"] == 1
    assert "cmdstat_wait" not in said


def test_the_receivers_connections_are_bounded_and_never_retried() -> None:
    pool = connect("redis://127.0.0.1:1", "{t}").connection_pool
    told = pool.connection_kwargs

    assert (told["socket_connect_timeout"], told["socket_timeout"], pool.max_connections) == (0.5, 1.0, 16)
    assert told["client_name"] == "zyra-receiver"
    assert told["retry"]._supported_errors == (SlotMoved,)


def test_a_receipt_is_not_changed() -> None:
    with pytest.raises(AttributeError):
        Receipt("a", False).id = "b"  # type: ignore[misc]


def test_who_has_waited_for_too_long_is_not_written(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    async def act(inbox: Inbox) -> list[Any]:
        receipts = [inbox.accept(accepted(n)) for n in range(3)]
        for entry in inbox._waiting[:2]:
            entry.since -= module.ANSWER_SECONDS
        return await asyncio.gather(*receipts, return_exceptions=True)

    *late, taken = using(server.url, keys, seal, act)

    assert [error.cause for error in late] == ["slow", "slow"]
    assert isinstance(taken, Receipt)
    assert client.llen(keys.jobs) == 1


def test_all_of_a_batch_may_be_late(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(inbox: Inbox) -> list[Any]:
        receipts = [inbox.accept(accepted(n)) for n in range(2)]
        for entry in inbox._waiting:
            entry.since -= 60
        return await asyncio.gather(*receipts, return_exceptions=True)

    assert [error.cause for error in using(server.url, keys, seal, act)] == ["slow", "slow"]
    assert not client.exists(keys.jobs)
    assert not caplog.records  # that is no fault of ours


def test_a_connection_left_in_doubt_is_not_used_again(own_server: Server, keys: Keys, seal: Seal) -> None:
    """A late reply must not be taken for the answer to the next batch."""

    async def act(inbox: Inbox) -> tuple[str, str, str]:
        first = accepted(1)
        await inbox.accept(first)
        own_server.pause()
        doubted = accepted(2)
        with pytest.raises(Unavailable):
            await inbox.accept(doubted)
        own_server.resume()
        last = accepted(3)
        return doubted.event.labels.id, last.event.labels.id, (await inbox.accept(last)).id

    doubted, last, answered = using(own_server.url, keys, seal, act)

    assert answered == last != doubted


def test_a_refusal_of_a_pair_of_commands_leaves_nothing_behind(
    server: Server, keys: Keys, seal: Seal, client: blocking.Redis
) -> None:
    """Where WAIT follows, its answer is still to come when the script was refused."""

    async def act(inbox: Inbox) -> list[Any]:
        client.set(keys.name("events"), "junk")
        refused = await asyncio.gather(inbox.accept(accepted(1)), return_exceptions=True)
        client.delete(keys.name("events"))
        return [*refused, *(await asyncio.gather(inbox.accept(accepted(2)), return_exceptions=True))]

    causes = [error.cause for error in using(server.url, keys, seal, act, durability=Durability.REPLICATED)]

    assert causes == ["wrongtype", "replicas"]


def test_a_redis_that_forgot_the_script_is_told_it_again(own_server: Server, keys: Keys, seal: Seal) -> None:
    async def act(inbox: Inbox) -> list[Receipt]:
        first = await inbox.accept(accepted(1))
        await inbox._client.script_flush()
        return [first, await inbox.accept(accepted(2)), await inbox.accept(accepted(3))]

    receipts = using(own_server.url, keys, seal, act)

    assert [receipt.duplicate for receipt in receipts] == [False, False, False]


def test_a_mark_lives_as_long_as_its_window(server: Server, keys: Keys, seal: Seal, client: blocking.Redis) -> None:
    async def act(inbox: Inbox) -> Receipt:
        return await inbox.accept(accepted(1, "zyra:i:x", 60))

    using(server.url, keys, seal, act)

    assert 59_000 < client.pttl(keys.name("seen:zyra:i:x")) <= 60_000


def test_a_refusal_costs_no_connection(own_server: Server, keys: Keys, seal: Seal) -> None:
    """A Redis that says no, at its memory's end for example, is not connected to anew for each batch."""

    async def act(inbox: Inbox) -> list[int]:
        await inbox.accept(accepted(0))
        await inbox._client.delete(keys.name("events"))
        await inbox._client.set(keys.name("events"), "junk")
        before = (await inbox._client.info("stats"))["total_connections_received"]
        for number in range(1, 5):
            with pytest.raises(Unavailable, match="wrongtype"):
                await inbox.accept(accepted(number))
        return [before, (await inbox._client.info("stats"))["total_connections_received"]]

    before, after = using(own_server.url, keys, seal, act)

    assert before == after
