"""uvicorn around the receiver: a drain before the listener closes, and one metrics port for all server processes."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from types import FrameType

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.applications import Starlette
from uvicorn.supervisors import multiprocess
from uvicorn.supervisors.multiprocess import Process

from .. import settings as environment
from ..contract import exposition, formats, logs, telemetry
from ..contract.connection import FAULTS, connect
from ..contract.errors import ConfigurationError
from ..contract.ledger_metrics import LedgerCollector
from ..settings import Settings
from .connections import STATE
from .protocol import GuardedProtocol

FINISH_SECONDS = 4  # that what is in flight may take after the listener closed


class Server(uvicorn.Server):
    """The first SIGTERM turns readiness off, and each connection ends with its next answer.

    The listener closes after DRAIN_SECONDS. Connections that were made by then are served, also those not accepted yet.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        state = find_application(self.config).state
        if state.watch.draining or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        state.watch.draining = True
        self.lifespan.state[STATE].draining = True
        self._captured_signals.append(sig)
        asyncio.get_running_loop().call_later(state.drain_seconds, self.end)

    def end(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for accepted in await self._close_listeners(sockets or []):
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, accepted)
        await super().shutdown(sockets)

    async def _close_listeners(self, sockets: list[socket.socket]) -> list[socket.socket]:
        """Closes the listeners. The connections that waited in them: a listener that is closed before resets these."""
        last = [listener.dup() for listener in sockets]
        for server in self.servers:
            server.close()
        for listener in sockets:
            listener.close()
        await asyncio.sleep(0)
        accepted = []
        for listener in last:
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    accepted.append(listener.accept()[0])
            listener.close()
        return accepted

    def _make_protocol(self) -> GuardedProtocol:
        return GuardedProtocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


def find_application(config: uvicorn.Config) -> Starlette:
    """Our application, below what uvicorn wraps around it."""
    app = config.loaded_app
    while not isinstance(app, Starlette):
        app = app.app
    return app


class Worker(Process):
    """A server process of ours, wherever uvicorn makes one: at the start, for one that died, at SIGHUP."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        logs.setup(os.environ.get("LOG_LEVEL", "INFO").upper())
        super().target(sockets)

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server


multiprocess.Process = Worker  # type: ignore[misc]  # uvicorn has no other place to say so


class Workers(multiprocess.Multiprocess):
    def join_all(self) -> None:
        """Closes our copy of the listener: the last child to close its own serves the connections that wait in it."""
        for listener in self.sockets:
            listener.close()
        super().join_all()

    def keep_subprocess_alive(self) -> None:
        for process in self.processes:
            if not process.process.is_alive() and process.pid:
                mark_process_dead(process.pid)  # type: ignore[no-untyped-call]  # its gauges must not outlive it
        super().keep_subprocess_alive()


def serve(settings: Settings) -> None:
    """Serves until it is told to stop. Exits with 1 and one line where the port cannot be had."""
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        "receiver.app:create_app",
        factory=True,
        loop="uvloop",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # they are not signed, and nothing here asks who the client is
        server_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
        workers=settings.processes,
    )
    if settings.processes > 1:
        with tempfile.TemporaryDirectory(prefix="zr-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            serve_metrics(settings)
            Workers(config, [listener]).run()
    else:
        serve_metrics(settings)
        Server(config).run(sockets=[listener])


def serve_metrics(settings: Settings) -> None:
    """Serves the metrics of this process, or of all that share PROMETHEUS_MULTIPROC_DIR. Port 0 is off."""
    host, port, keys = settings.metrics_address, settings.metrics_port, settings.keys
    if not port:
        return
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(LedgerCollector(connect(settings.redis_url, keys.tag), keys, "receiver"))
    try:
        exposition.serve_in_thread(exposition.listen(host, port), registry)
    except OSError as error:
        sys.exit(
            f"error: cannot listen on {host}:{port} for metrics: {error.strerror}. METRICS_PORT changes it, 0 is off"
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; its port is written to standard error, for PORT=0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        sys.exit(
            f"error: cannot listen on {host}:{port}: {error.strerror}. Is another one running? PORT and HOST change it"
        )
    return listener


def main() -> None:
    settings = environment.read()
    telemetry.refuse_faults()
    logs.setup(settings.log_level)
    refuse_old_ledger(settings)
    serve(settings)


def refuse_old_ledger(settings: Settings) -> None:
    """Raises ConfigurationError. Where Redis does not answer yet, `readiness` looks at the ledger once it does."""
    keys = settings.keys
    client = connect(settings.redis_url, keys.tag)
    with contextlib.suppress(*FAULTS), contextlib.closing(client):
        if fault := formats.look_at_ledger(client, keys):
            raise ConfigurationError([fault])
