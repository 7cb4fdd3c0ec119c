"""zyra-receiver work"""

import os
from typing import Annotated

import typer

from receiver.contract import logs
from receiver.contract.connection import connect

from ... import settings
from ...ledger.transitions import Ledger
from ...runtime import limits
from ...runtime.pulse import Pulse
from ...runtime.worker import Worker
from ..local import make_current_folder_importable

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def work(
    processes: Annotated[int, typer.Option(min=1, max=64, help="Processes that run handlers.")] = 1,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="Maximum number of runs at once in each process.")
    ] = 16,
    burst: Annotated[bool, typer.Option(help="Exit when nothing is due.")] = False,
    keep_going: Annotated[bool, typer.Option(help="Skip handler modules that do not import.")] = False,
) -> None:
    """Run a worker: a supervisor that renews leases and sweeps, and its processes."""
    make_current_folder_importable()
    config = settings.read()
    logs.setup(config.log_level)
    pulse = Pulse()
    exporter = export(config.metrics_address, config.metrics_port, Ledger.open(config), pulse)
    worker = Worker(
        config.queue,
        connection=connect(config.redis_url, config.keys.tag, read=3.0, name="zyra-worker"),
        settings=config,
        processes=processes,
        concurrency=concurrency,
        keep_going=keep_going,
        pulse=pulse,
    )
    try:
        worker.work(burst=burst)
    finally:
        if exporter:
            os.kill(exporter, 9)


def export(host: str, port: int, ledger: Ledger, pulse: Pulse) -> int:
    """Serves metrics and health from a process of its own: the parent must stay free of threads. Its pid; 0 if off."""
    if not port:
        return 0
    parent = os.getpid()
    if pid := os.fork():
        return pid
    from ...monitoring.metrics import serve  # pragma: no cover - in a child that is ended by a signal

    limits.end_with_parent(parent)  # pragma: no cover
    serve(host, port, ledger, pulse)  # pragma: no cover
    return 0  # pragma: no cover
