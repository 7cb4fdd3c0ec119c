"""make bench: interleaved rounds; prints medians of ratios within each round."""

import os

os.environ.setdefault("QUEUE", "bench")
os.environ.setdefault("REDIS_URL", "redis://127.0.0.1:1/0")

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
import uvloop
from rq import Queue

from tests.kit import ROOT, Server, free_port, wait_for

from .load import post

ROUNDS = int(os.environ.get("ROUNDS", "5"))
SECONDS = float(os.environ.get("SECONDS", "2"))
CONNECTIONS = 64
EVENTS = 3000

NAIVE = ["-m", "uvicorn", "tests.bench.naive:app", "--no-access-log", "--log-level", "warning", "--port"]


def start(command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *command], env=os.environ | env, cwd=ROOT)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def environment(server: Server, config: Path) -> dict[str, str]:
    return {
        "REDIS_URL": server.url, "QUEUE": "bench", "SEAL_KEY": os.urandom(32).hex(), "METRICS_PORT": "0",
        "RECEIVER_CONFIG": str(config), "BENCH_SECRET": "bench-secret", "DRAIN_SECONDS": "0", "LOG_LEVEL": "warning",
        "WORKER_HANDLERS": "tests.bench.handlers", "MAX_PENDING": "10000000", "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def ready(port: int) -> bool:
    try:
        return asyncio.run(post(port, 1, 0.05))[0] > 0
    except (OSError, asyncio.IncompleteReadError):
        return False


def ingest(client: redis.Redis, command: list[str], env: dict[str, str], signature: str | None = None) -> float:
    """Requests a second that were answered, and, unless they were to be refused, are there."""
    port = free_port()
    process = start([*command, str(port)] if command == NAIVE else command, env | {"PORT": str(port)})
    try:
        wait_for(lambda: ready(port))
        before = client.llen("rq:queue:bench")
        rate, codes = uvloop.run(post(port, CONNECTIONS, SECONDS, *([signature] if signature else [])))
        wanted = b"401" if signature else b"202"
        if set(codes) != {wanted} or (not signature and client.llen("rq:queue:bench") - before != codes[wanted]):
            raise SystemExit(f"void: {dict(codes)}, {client.llen('rq:queue:bench') - before} in the queue")
        return rate
    finally:
        end(process)


def dispatch_ours(client: redis.Redis, env: dict[str, str]) -> float:
    """Events a second from accepted to done, the dispatch included."""
    port = free_port()
    process = start(["-m", "workers.cli", "serve"], env | {"PORT": str(port)})
    try:
        wait_for(lambda: ready(port))
        while client.zcard("zr:bench:pending") < EVENTS:
            asyncio.run(post(port, 16, 0.2))
    finally:
        end(process)
    events = client.zcard("zr:bench:events")
    worker = start(["-m", "workers.cli", "work"], env)
    try:
        wait_for(lambda: client.zcard("zr:bench:final") > 0)
        first, started = client.zcard("zr:bench:final"), time.perf_counter()
        wait_for(lambda: client.zcard("zr:bench:final") >= events, 120)
        return float((events - first) / (time.perf_counter() - started))
    finally:
        end(worker)


def dispatch_rq(client: redis.Redis, env: dict[str, str]) -> float:
    queue = Queue("bench", connection=client)
    for _ in range(EVENTS):
        queue.enqueue("tests.bench.handlers.noop", {"pad": "x" * 2000})
    worker = start(["-m", "rq.cli", "worker", "bench", "-q", "-w", "rq.SimpleWorker", "--url", env["REDIS_URL"]], env)
    try:
        wait_for(lambda: client.llen("rq:queue:bench") < EVENTS)
        first, started = client.llen("rq:queue:bench"), time.perf_counter()
        wait_for(lambda: client.llen("rq:queue:bench") == 0, 120)
        return float(first / (time.perf_counter() - started))
    finally:
        end(worker)


def main() -> None:
    rows: dict[str, list[tuple[float, float]]] = {"ingest": [], "reject unsigned": [], "dispatch": []}
    with tempfile.TemporaryDirectory(prefix="zr-") as folder:
        config = Path(folder) / "sources.toml"
        config.write_text('[sources.github]\nscheme = "github"\nsecrets = ["env:BENCH_SECRET"]\n')
        server = Server(Path(folder))
        server.start()
        client = redis.Redis.from_url(server.url)
        env = environment(server, config)
        ours = ["-m", "workers.cli", "serve"]
        try:
            for number in range(ROUNDS):
                found = []
                for measure in (
                    lambda: ingest(client, NAIVE, env),
                    lambda: ingest(client, ours, env),
                    lambda: ingest(client, ours, env, "sha256=" + "0" * 64),
                    lambda: dispatch_rq(client, env),
                    lambda: dispatch_ours(client, env),
                ):
                    client.flushall()
                    found.append(measure())
                naive, accepted, refused, rq, done = found
                rows["ingest"].append((accepted, naive))
                rows["reject unsigned"].append((refused, accepted))
                rows["dispatch"].append((done, rq))
                print(f"round {number}: " + " ".join(f"{value:.0f}/s" for value in found), file=sys.stderr)
        finally:
            client.close()
            server.stop()
    bases = {"ingest": "naive Starlette + RQ", "reject unsigned": "our own accept", "dispatch": "RQ SimpleWorker"}
    for name, pairs in rows.items():
        ratio = statistics.median(mine / base for mine, base in pairs)
        print(f"{name:<16} {ratio:5.2f} x {bases[name]:<22} {statistics.median(mine for mine, _ in pairs):8.0f}/s")


if __name__ == "__main__":
    main()
