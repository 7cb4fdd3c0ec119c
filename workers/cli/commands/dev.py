"""zyra-receiver dev"""

import fcntl
import json
import os
import random
import secrets
import signal
import socket
import sys
import time
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, Any
from urllib.parse import urlsplit

import httpx2
import msgspec
import typer

from receiver.contract.addresses import LOOPBACK_NAMES
from receiver.contract.connection import GONE, connect
from receiver.contract.errors import ConfigurationError

from ...sandbox.__main__ import Options
from ...sandbox.rows import DEMO_SERVER
from ...sandbox.state import CONTROL_TOKEN, write_private
from .. import local
from ..embedded import Children, make_redis_command, make_socket_path
from ..output import print_note
from ..reload import Reloader, load_in_child

app = typer.Typer(add_completion=False, rich_markup_mode=None)
DEMO_HANDLER = "workers.handlers.restart_virtual_server"
PORT, METRICS_PORT = 8080, 9464  # of the receiver; the sandbox and the worker have the ones after
FREE_PORT_RANGE = (20_000, 32_000)  # below the ports that systems give to clients
SECONDS = 20.0  # until a part must be ready
PYTHON = (sys.executable, "-P", "-m")  # a folder `workers` or `receiver` of the user's must not hide ours
IGNORED = {  # of the environment: dev has keys and ports of its own
    *("SEAL_KEY", "SEAL_KEY_FILE", "SEAL_KEY_COMMAND", "ZYRA_WEBHOOK_SECRET", "ZYRA_WEBHOOK_SECRET_FILE"),
    *("ZYRA_API_KEY", "ZYRA_API_KEY_FILE", "ZYRA_API_USER", "ZYRA_API_PASSWORD", "ZYRA_API_PASSWORD_FILE"),
    *("ZYRA_API_URL", "REDIS_URL_FILE", "HOST", "PORT", "METRICS_HOST", "METRICS_PORT", "DRAIN_SECONDS"),
}


@app.command()
def dev(
    data_dir: Annotated[Path | None, typer.Option(help="Folder for all data; also RECEIVER_DATA_DIR.")] = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65000, help="Port of the receiver; the next three are used too. 0 picks free ones."),
    ] = PORT,
    as_line: Annotated[bool, typer.Option("--json", help="Print one line of JSON once all is ready.")] = False,
    trouble: Annotated[str, typer.Option("--chaos", help="Faults of the sandbox: dup,reorder,late,drop,slow,...")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the faults; the same seed gives the same faults.")] = 0,
    shaped: Annotated[str, typer.Option("--shape", help="Variant of the sandbox's payloads and envelopes.")] = "",
    life: Annotated[float, typer.Option(min=0, help="Spontaneous events of the sandbox a minute.")] = 0.0,
) -> int:
    """Run everything on this machine until Ctrl-C. Accepted events are still there at the next start."""
    try:
        options = Options(chaos=trouble, seed=seed, shape=shaped, life=life)
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None
    folder = prepare((data_dir or local.find_data_folder()).absolute())
    lock = lock_folder(folder)
    children = Children()
    stop_on_signals(children)
    try:
        facts, env = start(folder, port, children, options)
        write_private(folder / "dev.json", json.dumps(facts))
        print(json.dumps(facts) if as_line else write_welcome(facts), flush=True)
        return children.wait(Reloader(env, lambda: children.signal("worker", signal.SIGHUP)).look)
    finally:
        children.stop()
        (folder / "dev.json").unlink(missing_ok=True)
        lock.close()


def stop_on_signals(children: Children) -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        children.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def prepare(folder: Path) -> Path:
    """The data directory, with the keys that live in it. Raises ConfigurationError where it cannot be used."""
    url = os.environ.get("ZYRA_API_URL", "http://127.0.0.1")
    if urlsplit(url).hostname not in LOOPBACK_NAMES:
        raise ConfigurationError([f"dev calls its own sandbox only: unset ZYRA_API_URL, which is {url}"])
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        local.check_private(folder)
        (folder / ".gitignore").write_text("*\n")
        for name in ("seal-key", "api-key"):
            if not (folder / name).exists():
                write_private(folder / name, ("zyra_sk_" if name == "api-key" else "") + secrets.token_hex(32))
    except OSError as error:
        raise ConfigurationError([f"cannot use {folder}: {error.strerror}: name another one with --data-dir"]) from None
    return folder


def lock_folder(folder: Path) -> IO[str]:
    """The data directory's lock, held while this process lives. Raises ConfigurationError where another one has it."""
    lock = open(folder / "lock", "w")  # noqa: SIM115 - closed at the end of dev
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigurationError([f"dev runs already in {folder}: stop it, or use --data-dir"]) from None
    return lock


def choose_ports(port: int) -> list[int]:
    """Ports for receiver, sandbox and the two kinds of metrics. Raises ConfigurationError where one is taken."""
    metrics = METRICS_PORT if port == PORT else port + 2
    wanted = (port, port + 1, metrics, metrics + 1) if port else random.sample(range(*FREE_PORT_RANGE), 4)
    sockets = [find_free_port(one, any_else=not port) for one in wanted]
    numbers = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return numbers


def find_free_port(port: int, any_else: bool = False) -> socket.socket:
    """The port, held until it is closed, or another one. Raises ConfigurationError where it is taken."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(("127.0.0.1", port))
    except OSError:
        taken.close()
        if any_else:
            return find_free_port(random.randrange(*FREE_PORT_RANGE), any_else)  # noqa: S311 - no secret
        raise ConfigurationError([f"port {port} is in use: `--port 0` picks free ones"]) from None
    return taken


def make_environment(folder: Path, url: str, sandbox: str) -> dict[str, str]:
    """The environment of the parts: our own, but for what dev sets itself."""
    own = {
        "REDIS_URL": url,
        "SEAL_KEY_FILE": str(folder / "seal-key"),
        "ZYRA_WEBHOOK_SECRET_FILE": str(folder / "webhook-secret"),
        "ZYRA_API_KEY_FILE": str(folder / "api-key"),
        "ZYRA_API_URL": sandbox,
        "DRAIN_SECONDS": "0",
        "PYTHONDONTWRITEBYTECODE": "1",  # a file that is saved twice in a second would be taken for the first one
    }
    defaults = {
        "DURABILITY": "everysec",
        "WORKER_HANDLERS": DEMO_HANDLER,
        "LOG_ERRORS": "on",  # an author wants to read what went wrong
    }
    ignored = sorted(name for name in os.environ if name in IGNORED and os.environ[name] != own.get(name))
    if ignored:
        print_note(f"dev ignores {', '.join(ignored)}: it uses keys and ports of its own (--port)")
    return defaults | {name: value for name, value in os.environ.items() if name not in ignored} | own


def start(folder: Path, port: int, children: Children, options: Options) -> tuple[dict[str, Any], dict[str, str]]:
    """Starts all parts in order, each when the one before is ready; what other commands need to know, and the
    environment of the parts.
    """
    receiver, sandbox, metrics, worker_metrics = choose_ports(port)
    public = f"http://127.0.0.1:{receiver}"
    url = os.environ.get("REDIS_URL") or start_redis(folder, children)
    env = make_environment(folder, url, f"http://127.0.0.1:{sandbox}")
    played = ["workers.sandbox", str(folder), str(sandbox), f"{public}/webhooks/zyra"]
    children.start("sandbox", [*PYTHON, *played, msgspec.json.encode(options).decode()], env)
    wait_until_answers("sandbox", f"http://127.0.0.1:{sandbox}/api/v1/devices", children)
    serving = {"HOST": "127.0.0.1", "PORT": str(receiver), "METRICS_PORT": str(metrics)}
    children.start("receiver", [*PYTHON, "workers.cli", "serve"], env | serving)
    wait_until_answers("receiver", f"{public}/readyz", children)
    load_in_child(env)
    working = {"METRICS_PORT": str(worker_metrics)}
    children.start("worker", [*PYTHON, "workers.cli", "work", "--keep-going"], env | working)
    wait_until_answers("worker", f"http://127.0.0.1:{worker_metrics}/metrics", children)
    config = env.get("RECEIVER_CONFIG", "")
    facts = {
        "receiver": public,
        "sandbox": env["ZYRA_API_URL"],
        "redis_url": url,
        "metrics": [f"http://127.0.0.1:{number}/metrics" for number in (metrics, worker_metrics)],
        "secret_file": env["ZYRA_WEBHOOK_SECRET_FILE"],
        "api_key_file": env["ZYRA_API_KEY_FILE"],
        "control_token_file": str(folder / CONTROL_TOKEN),
        "seal_key_file": env["SEAL_KEY_FILE"],
        "demo_server": DEMO_SERVER,
        "handlers": env["WORKER_HANDLERS"],
        "config": config and str(Path(config).absolute()),
        "pid": os.getpid(),
    }
    return facts, env


def start_redis(folder: Path, children: Children) -> str:
    path = make_socket_path(folder)
    url = f"unix://{path}"
    client = connect(url, "")
    try:  # a server that outlived its dev, where the system does not end children with their parent
        client.shutdown(nosave=True)
        time.sleep(0.5)
    except GONE:
        pass
    children.start("redis", make_redis_command(folder, path), {})
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not children.find_ended() and not children.stopping:
        try:
            client.ping()
            return url
        except GONE:  # not yet there, or still loading
            time.sleep(0.05)
    raise ConfigurationError([f"the embedded Redis did not start: see {folder / 'redis.log'}"])


def wait_until_answers(name: str, url: str, children: Children) -> None:
    """Waits until the part answers at all. Raises ConfigurationError where it does not, having said why itself."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and not children.find_ended() and not children.stopping:
        try:
            if httpx2.get(url, timeout=2, trust_env=False).status_code < 500:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.05)
    if not children.stopping:
        raise ConfigurationError([f"the {name} did not start; see its log output above"])


def write_welcome(facts: dict[str, Any]) -> str:
    return f"""
Ready. Ctrl-C stops everything; what was accepted stays in {Path(facts["secret_file"]).parent}.

  receiver   {facts["receiver"]}/webhooks/zyra
  sandbox    {facts["sandbox"]}/api/v1   (plays Zyra; server {facts["demo_server"]} stands in error)
  handlers   {facts["handlers"]}
  metrics    {" ".join(facts["metrics"])}

Now, in a second shell:

  .venv/bin/zyra-receiver send virtual_server.error --set data.id={facts["demo_server"]}
  .venv/bin/zyra-receiver events list
"""
