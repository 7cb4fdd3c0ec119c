"""A server of ours within the process of the test, around any application."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from receiver.server.connections import STATE, Connections
from receiver.server.protocol import GuardedProtocol


async def answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def served(app: Any, senders: Connections | None = None) -> AsyncIterator[tuple[str, int]]:
    """The address of a server. senders: what it is to know of its connections."""

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        scope["state"][STATE] = senders or Connections()
        for said in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await receive()
            await send({"type": said})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(with_lifespan, http=GuardedProtocol, lifespan="on", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        await running


def exchange(app: Any, *pieces: bytes, pause: float = 0.02, silence: float = 0.4) -> bytes:
    """All that the server says to these pieces, each sent in a packet of its own, until it closes or is silent."""

    async def talk() -> bytes:
        async with served(app) as address:
            reader, writer = await asyncio.open_connection(*address)
            said = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(pause if len(pieces) > 1 else 0)
                while part := await asyncio.wait_for(reader.read(65536), silence):
                    said += part
            writer.close()
            return said

    return asyncio.run(talk())
