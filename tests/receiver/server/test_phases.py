"""What happens to connections that wait too long, read nothing, or never stop sending: real sockets, short times."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from receiver.server import connections, protocol
from receiver.server.connections import Connections

from ...support import asgi
from ...support.asgi import answer

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
LARGE = b"x" * 16_000_000
Open = Callable[[], Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def small(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await answer(send, 200, b"ok")


async def large(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 200, LARGE)


async def early(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, 413, b"no")


@contextlib.asynccontextmanager
async def served(app: Any, limit: int = 100) -> AsyncIterator[tuple[Open, Connections]]:
    """How to connect to a server, and what it knows of its connections."""
    senders = Connections(limit)
    async with asgi.served(app, senders) as address, contextlib.AsyncExitStack() as opened:

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection(*address, limit=65536)
            opened.callback(writer.close)
            return reader, writer

        yield connect, senders


async def until(told: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not told():
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 0.5)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(connections, "INCOMPLETE_SECONDS", 0.5)


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All until the end, or until the reset."""
    said = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while part := await reader.read(65536):
                said += part
    return said


def test_who_reads_nothing_is_cut_off() -> None:
    async def main() -> None:
        async with served(large) as (connect, senders):
            reader, writer = await connect()
            writer.write(GET)
            await until(lambda: senders.closing)
            await until(lambda: not senders.open)

            assert len(await rest(reader)) < len(LARGE)

    asyncio.run(main())


def test_who_reads_late_gets_everything_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 10.0)

    async def main() -> None:
        async with served(large) as (connect, senders):
            reader, writer = await connect()
            for _ in range(2):
                writer.write(GET)
                await until(lambda: senders.closing)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(LARGE)) == LARGE
                await until(lambda: senders.idle)

    asyncio.run(main())


def test_pipelined_requests_of_a_late_reader_are_answered_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 10.0)

    async def main() -> None:
        async with served(large) as (connect, senders):
            reader, writer = await connect()
            writer.write(GET * 3)
            await until(lambda: senders.closing)
            for _ in range(3):
                await reader.readuntil(b"\r\n\r\n")
                assert await reader.readexactly(len(LARGE)) == LARGE
            await until(lambda: senders.idle)

    asyncio.run(main())


def test_an_idle_connection_is_closed_without_a_word() -> None:
    async def main() -> None:
        async with served(small) as (connect, senders):
            reader, writer = await connect()
            writer.write(GET)
            said = await rest(reader)

            assert said.endswith(b"\r\n\r\nok")
            assert said.count(b"HTTP/1.1") == 1
            assert not senders.open

    asyncio.run(main())


def test_a_head_that_never_ends_is_408() -> None:
    async def main() -> None:
        async with served(early) as (connect, _):
            reader, writer = await connect()
            writer.write(b"GET")

            assert (await rest(reader)).startswith(b"HTTP/1.1 408")

    asyncio.run(main())


def test_who_never_stops_sending_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_DROPPED_BYTES", 1_000_000)
    monkeypatch.setattr(connections, "CLOSING_SECONDS", 10.0)

    async def main() -> None:
        async with served(early) as (connect, senders):
            _, writer = await connect()
            writer.write(POST)
            with contextlib.suppress(ConnectionError):
                for _ in range(400):
                    writer.write(b"x" * 10_000)
                    await writer.drain()
            await until(lambda: not senders.open)

    asyncio.run(main())


def test_a_target_that_is_no_path_is_400() -> None:
    async def main() -> None:
        async with served(small) as (connect, senders):
            reader, writer = await connect()
            writer.write(b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n")

            assert (await rest(reader)).startswith(b"HTTP/1.1 400")
            assert senders.malformed == 1

    asyncio.run(main())


def test_of_a_body_that_is_too_large_little_more_than_the_limit_is_read() -> None:
    async def sizes(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)  # meanwhile the socket waits, and not our memory
        message = await receive()
        await answer(send, 413, b"%d %r" % (len(message["body"]), message["more_body"]))

    async def main() -> None:
        async with served(sizes) as (connect, _):
            reader, writer = await connect()
            writer.write(POST + b"x" * 5_000_000)
            size, more = (await rest(reader)).rpartition(b"\r\n\r\n")[2].split()

            assert connections.MAX_BODY_BYTES < int(size) < connections.MAX_BODY_BYTES + 500_000
            assert more == b"True"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("app", "first", "heard"),
    [
        (small, b"", b""),
        (small, GET, b"HTTP/1.1 200"),
        (small, b"GET / HT", b"HTTP/1.1 503"),
        (early, POST, b"HTTP/1.1 413"),
    ],
    ids=["nothing sent", "idle", "in the head", "answered early"],
)
def test_at_the_limit_an_old_connection_makes_room(
    app: Any, first: bytes, heard: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLOSING_SECONDS", "IDLE_SECONDS", "INCOMPLETE_SECONDS"):
        monkeypatch.setattr(connections, name, 60.0)

    async def main() -> None:
        async with served(app, limit=1) as (connect, senders):
            reader, writer = await connect()
            await until(lambda: senders.open == 1)
            writer.write(first)
            await asyncio.sleep(0.1)
            said = await reader.read(65536) if first in (GET, POST) else b""
            later, newcomer = await connect()
            newcomer.write(GET)

            said += await rest(reader)
            assert said.startswith(heard)
            assert bool(said) == bool(heard)
            assert (await later.readline()).startswith(b"HTTP/1.1")
            assert senders.evicted == 1

    asyncio.run(main())
