"""zyra-receiver sandbox"""

import secrets
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer

from receiver.contract.errors import ConfigurationError

from ..sandbox import __main__ as played
from ..sandbox.chaos import chaos
from ..sandbox.shapes import shape
from ..sandbox.state import CATALOGUE, State, write_private
from . import local
from .fields import pair, put
from .local import environment
from .output import line

app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8081,
    data_dir: Annotated[Path | None, typer.Option(help="Where its key and its endpoints are kept.")] = None,
    hooks: Annotated[str, typer.Option(help="A receiver's URL that is told all events.")] = "",
    seed_file: Annotated[
        Path | None, typer.Option(help='JSON of what is there: {"devices": {"dev_1": {...}}}.')
    ] = None,
    trouble: Annotated[str, typer.Option("--chaos", help="dup,reorder,late,drop,rewrite,slow,fail-after,...")] = "",
    seed: Annotated[int, typer.Option(help="Of the chaos: the same one, the same trouble.")] = 0,
    shaped: Annotated[str, typer.Option("--shape", help="payload=nested|flat|resource,total=...,errors=...")] = "",
    minute: Annotated[float, typer.Option(min=0.1, help="Seconds of the minute that limits count.")] = 60.0,
) -> None:
    """A Zyra to develop against, on this machine only; `dev` has one already."""
    if context.invoked_subcommand:
        return
    try:
        chaos(trouble, seed)
        shape(shaped)
        folder = prepare((data_dir or local.folder() / "sandbox").absolute(), seed_file)
    except (ValueError, KeyError) as error:
        raise ConfigurationError([str(error)]) from None
    except OSError as error:
        raise ConfigurationError([f"cannot use {data_dir}: {error.strerror}"]) from None
    line(f"sandbox on http://127.0.0.1:{port}, its key in {folder}/api-key")
    played.main(folder, port, hooks, trouble, seed, shaped, minute)


def prepare(folder: Path, seed_file: Path | None) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / "api-key").exists():
        write_private(folder / "api-key", "zyra_sk_" + secrets.token_hex(32))
    if seed_file:
        State(folder, "zyra_sk_").add(seed_file.read_text())
        write_private(folder / "seed.json", seed_file.read_text())
    return folder


@app.command()
def trigger(
    type: Annotated[str, typer.Argument(help="One of the catalogue, such as job.failed.")],  # noqa: A002
    set: Annotated[list[str] | None, typer.Option(help="A field of the resource: id=job_1.")] = None,  # noqa: A002
    url: Annotated[str, typer.Option(help="The sandbox, if it is not the one of the running dev.")] = "",
) -> int:
    """Has the sandbox tell an event as if it had happened."""
    if type not in CATALOGUE:
        raise ConfigurationError([f"{type} is not in Zyra's catalogue: {', '.join(CATALOGUE)}"])
    data: dict[str, Any] = {}
    for setting in set or []:
        put(data, *pair(setting))
    base = url or local.running(environment()).get("sandbox") or "http://127.0.0.1:8081"
    try:
        answer = httpx2.post(f"{base}/sandbox/trigger", json={"type": type, "data": data}, timeout=10, trust_env=False)
        told = answer.json()["endpoints"]
    except (httpx2.HTTPError, ValueError, KeyError):
        line(f"there is no sandbox at {base}")
        return 1
    line(f"told {told} endpoints")
    return 0 if told else 1
