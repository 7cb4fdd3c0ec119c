"""uvicorn around the receiver: a drain before the listener closes, and one metrics port for all server processes."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from types import FrameType

import uvicorn
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from . import settings as environment
from .contract import logs
from .metrics import export
from .settings import Settings

FINISH = 4  # seconds that what is in flight may take after the listener closed


class Server(uvicorn.Server):
    """The first SIGTERM only turns readiness off; the listener closes after DRAIN_SECONDS."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        watch = application(self.config).state.watch
        if watch.draining or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        watch.draining = True
        self._captured_signals.append(sig)
        seconds = float(os.environ.get("DRAIN_SECONDS", "3").rstrip("s"))
        asyncio.get_running_loop().call_later(seconds, self.end)

    def end(self) -> None:
        self.should_exit = True


def application(config: uvicorn.Config) -> Starlette:
    """Our application, below what uvicorn wraps around it."""
    app = config.loaded_app
    while not isinstance(app, Starlette):
        app = app.app
    return app


class Worker(Process):
    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = Server(self.config)
        return self._server


class Workers(Multiprocess):
    def init_processes(self) -> None:
        for _ in range(self.processes_num):
            process = Worker(self.config, self.sockets)
            process.start()
            self.processes.append(process)


def serve(settings: Settings) -> None:
    """Serves until it is told to stop. Exits with 1 and one line where the port cannot be had."""
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        "receiver.app:create_app",
        factory=True,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=FINISH,
        workers=settings.processes,
    )
    if settings.processes > 1:
        with tempfile.TemporaryDirectory(prefix="zr-metrics-") as folder:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
            export(settings.metrics_port, REGISTRY)
            Workers(config, sockets=[listener]).run()
    else:
        export(settings.metrics_port, REGISTRY)
        Server(config).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; its port is written to standard error, for PORT=0."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        sys.exit(f"cannot listen on {host}:{port}: {error.strerror}. Is another one running? PORT and HOST change it")
    return listener


def main() -> None:
    found = environment.read()
    logs.setup(found.log_level)
    serve(found)
