"""Receivers and workers that are measured: ours, what a tutorial would write, and peers where they are installed.

PEERS=1 adds the peers of the folder PEERS_DIR (default ../shared/bench), run with what is installed in BENCH_ENV.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.kit import ROOT

from .stage import Process, Stage

PEERS_DIR = Path(os.environ.get("PEERS_DIR", ROOT.parent / "shared/bench"))
AIOHTTP = "vtaskiq/lib/python3*/site-packages"
BENCH_ENV = Path(os.environ.get("BENCH_ENV", PEERS_DIR / ".env"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """count: how many events of it are in Redis."""

    name: str
    start: Callable[[Stage, int], Process]
    count: Callable[[Stage], int]
    path: str = "/webhooks/github"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """fill: puts so many jobs into the queue. left: how many of them are not done."""

    name: str
    start: Callable[[Stage], Process]
    fill: Callable[[Stage, int], None]
    env: dict[str, str] = field(default_factory=dict)


def serve(stage: Stage, port: int, processes: int = 1, metrics: int = 0) -> Process:
    env = {"PORT": str(port), "WEB_CONCURRENCY": str(processes), "METRICS_PORT": str(metrics)}
    return stage.python("-m", "workers.cli", "serve", **env)


def ours(processes: int = 1) -> Receiver:
    return Receiver(
        name="ours" if processes == 1 else f"ours, {processes} processes",
        start=lambda stage, port: serve(stage, port, processes),
        count=lambda stage: int(stage.client.zcard("zr:{bench}:events")),
    )


def naive(app: str, name: str) -> Receiver:
    command = ("-m", "uvicorn", f"tests.bench.naive:{app}", "--no-access-log", "--log-level", "warning", "--port")
    return Receiver(
        name=name,
        start=lambda stage, port: stage.python(*command, str(port)),
        count=lambda stage: int(stage.client.llen("rq:queue:bench")),
    )


NAIVE = naive("app", "naive Starlette + RQ")
BLOCKING = naive("blocking", "the same, blocking its loop")


def node(stage: Stage, script: str, **env: str) -> Process:
    more = {"NODE_PATH": str(BENCH_ENV / "node/node_modules"), "NODE_ENV": "production"}
    return stage.start(["node", str(PEERS_DIR / script)], stage.env | more | env, cwd=PEERS_DIR)


FASTIFY = Receiver(
    name="fastify + BullMQ",
    start=lambda stage, port: node(stage, "ingest/fastify.js", WEB_PORT=str(port)),
    count=lambda stage: int(stage.client.llen("bull:events:wait")),
    path="/hooks/test",
)


def bullmq_fill(stage: Stage, count: int, job: str = "noop") -> None:
    from .load import body

    file = stage.folder / "document"
    file.write_bytes(body())
    more = {"NODE_PATH": str(BENCH_ENV / "node/node_modules")}
    command = ["node", str(PEERS_DIR / "dispatch/fill.js"), job, str(count), str(file)]
    stage.start(command, stage.env | more, cwd=PEERS_DIR).popen.wait(300)


BULLMQ = Worker(
    name="BullMQ, concurrency 50",
    start=lambda stage: node(stage, "dispatch/bullmq_worker.js", CONCURRENCY="50", TICK=stage.env["TICKS"]),
    fill=bullmq_fill,
)


def taskiq(job: str) -> Worker:
    def env(stage: Stage) -> dict[str, str]:
        folders = os.pathsep.join(str(PEERS_DIR / name) for name in ("dispatch", ""))
        return stage.env | {"PYTHONPATH": folders, "TICK": stage.env["TICKS"], "PYTHONDONTWRITEBYTECODE": "1"}

    def fill(stage: Stage, count: int) -> None:
        command = [
            str(BENCH_ENV / "vtaskiq/bin/python"),
            str(PEERS_DIR / "dispatch/fill.py"),
            "taskiq",
            job,
            str(count),
        ]
        stage.start(command, env(stage) | {"TICK": os.devnull}, cwd=PEERS_DIR).popen.wait(300)

    command = ["vtaskiq/bin/taskiq", "worker", "taskiq_jobs:broker", "--workers", "2", "--log-level", "ERROR"]
    return Worker(
        name="taskiq, 2 processes",
        start=lambda stage: stage.start([str(BENCH_ENV / command[0]), *command[1:]], env(stage), cwd=stage.folder),
        fill=fill,
    )


def rq_fill(stage: Stage, count: int) -> None:
    import json

    from rq import Queue

    from .load import body

    queue, document = Queue("bench", connection=stage.client), json.loads(body())
    for _ in range(0, count, 500):
        queue.enqueue_many([Queue.prepare_data("tests.bench.handlers.job", (document,)) for _ in range(500)])


SIMPLE = Worker(
    name="RQ SimpleWorker",
    start=lambda stage: stage.python(
        *("-m", "rq.cli", "worker", "bench", "-q", "-w", "rq.SimpleWorker", "--url", stage.env["REDIS_URL"])
    ),
    fill=rq_fill,
)


def work(processes: int, concurrency: int, fill: Callable[[Stage, int], None], kind: str = "noop") -> Worker:
    options = ("--processes", str(processes), "--concurrency", str(concurrency))
    path = str(ROOT) if kind != "aiohttp" else os.pathsep.join([str(ROOT), *map(str, BENCH_ENV.glob(AIOHTTP))])
    return Worker(
        name=f"ours, {processes} process{'es' * (processes > 1)}",
        start=lambda stage: stage.python("-m", "workers.cli", "work", *options, HANDLER=kind, PYTHONPATH=path),
        fill=fill,
    )


def missing() -> list[str]:
    """What PEERS=1 needs and does not find."""
    needed = {
        "the peers' scripts": PEERS_DIR / "ingest/fastify.js",
        "fastify and BullMQ": BENCH_ENV / "node/node_modules/bullmq",
        "taskiq": BENCH_ENV / "vtaskiq/bin/taskiq",
    }
    return [f"{name} ({path})" for name, path in needed.items() if not path.exists()]


def with_peers() -> bool:
    if os.environ.get("PEERS") != "1":
        return False
    if absent := missing():
        sys.exit(f"PEERS=1 does not find {', '.join(absent)}: set PEERS_DIR and BENCH_ENV")
    return True
