"""Metrics as Prometheus text, on a port of their own, with bounds on what whoever reaches the port may use."""

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

log = logging.getLogger(__name__)
MAX_CONNECTIONS = 32  # at once; the oldest one goes
REQUEST_SECONDS = 5.0  # from the connection to its end
Probes = Mapping[str, Callable[[], list[str]]]  # by path: the reasons for a 503, or none
MAX_HEAD_BYTES = 8 * 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)


def serve(listener: socket.socket, registry: CollectorRegistry, probes: Probes | None = None) -> None:
    """Answers one request a connection, for ever."""
    asyncio.run(Exposition(registry, probes or {}).run(listener))


def serve_in_thread(listener: socket.socket, registry: CollectorRegistry) -> threading.Thread:
    thread = threading.Thread(target=serve, args=(listener, registry), name="metrics", daemon=True)
    thread.start()
    return thread


class Exposition:
    def __init__(self, registry: CollectorRegistry, probes: Probes) -> None:
        self._registry = registry
        self._probes = probes
        self._open: dict[asyncio.StreamWriter, None] = {}

    async def run(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._serve, sock=listener, limit=MAX_HEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            next(iter(self._open)).transport.abort()
        self._open[writer] = None
        writer.transport.set_write_buffer_limits(0)  # so that `drain` waits until all is sent
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._respond(head))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)
            writer.close()

    def _respond(self, head: bytes) -> bytes:
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith("GET "):
            return render_response("405 Method Not Allowed", "text/plain", b"use GET\n")
        if probe := self._probes.get(first.split()[1]):
            return render_health(probe())
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        encode, content_type = choose_encoder(headers.get("accept", ""))
        try:
            return render_response("200 OK", content_type, encode(self._registry))
        except Exception:
            log.exception("the metrics cannot be written")
            return render_response("500 Internal Server Error", "text/plain", b"see the log\n")


def render_health(reasons: list[str]) -> bytes:
    status = "503 Service Unavailable" if reasons else "200 OK"
    facts = {"status": "unavailable", "reasons": reasons} if reasons else {"status": "ok"}
    return render_response(status, "application/json", json.dumps(facts).encode())


def render_response(status: str, content_type: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}connection: close\r\n\r\n".encode() + body
