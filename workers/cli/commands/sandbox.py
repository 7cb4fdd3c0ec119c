"""zyra-receiver sandbox"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx2
import typer

from receiver.contract.errors import ConfigurationError

from ...sandbox.__main__ import Options, load, main
from ...sandbox.catalogue import TYPES
from ...sandbox.control_api import TOKEN_HEADER
from ...sandbox.state import CONTROL_TOKEN, State, write_private
from .. import local
from ..errors import CommandFailed
from ..fields import parse_field, set_field
from ..local import read_environment
from ..output import print_line
from .dev import find_free_port

Url = Annotated[str, typer.Option(help="The sandbox, if it is not the one of the running dev.")]
Folder = Annotated[Path | None, typer.Option("--data-dir", help="Its folder, which holds the token that it wants.")]
app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any.")] = 8081,
    data_dir: Annotated[Path | None, typer.Option(help="Where its key and its endpoints are kept.")] = None,
    hooks: Annotated[str, typer.Option(help="A receiver's URL that is told all events.")] = "",
    seed_file: Annotated[
        Path | None, typer.Option(help='JSON of what is there: {"devices": {"dev_1": {...}}}.')
    ] = None,
    trouble: Annotated[str, typer.Option("--chaos", help="dup,reorder,late,drop,rewrite,slow,fail-after,...")] = "",
    seed: Annotated[int, typer.Option(help="Of the chaos: the same one, the same trouble.")] = 0,
    shaped: Annotated[str, typer.Option("--shape", help="payload=nested|flat|resource,total=...,errors=...")] = "",
    minute: Annotated[float, typer.Option(min=0.1, help="Seconds of a minute: of limits, breaches, payments.")] = 60.0,
    life: Annotated[float, typer.Option(min=0, help="How many things a minute happen by chance.")] = 0.0,
) -> None:
    """A Zyra to develop against, on this machine only; `dev` has one already."""
    if context.invoked_subcommand:
        return
    try:
        options = Options(chaos=trouble, seed=seed, shape=shaped, minute=minute, life=life)
        folder = prepare((data_dir or local.data_folder() / "sandbox").absolute(), seed_file)
        state = load(folder, hooks)
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None
    with find_free_port(port) as taken:
        port = taken.getsockname()[1]
    print_line(f"sandbox on http://127.0.0.1:{port}, its key in {folder}/api-key")
    main(state, port, options)


def prepare(folder: Path, seed_file: Path | None) -> Path:
    """The folder, with a key and, if one is given, the seed. Raises ValueError."""
    seed = check_options(seed_file) if seed_file else ""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        local.check_private(folder)
        if not (folder / "api-key").exists():
            write_private(folder / "api-key", "zyra_sk_" + secrets.token_hex(32))
        (folder / "seed.json").unlink(missing_ok=True)
        if seed:
            write_private(folder / "seed.json", seed)
    except OSError as error:
        raise ValueError(f"cannot use {folder}: {error.strerror}: name another one with --data-dir") from None
    return folder


def check_options(seed_file: Path) -> str:
    """The seed's text. Raises ValueError."""
    try:
        seed = seed_file.read_text()
        State(Path(), "").add(seed)
    except OSError as error:
        raise ValueError(f"{seed_file}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{seed_file}: {error}") from None
    return seed


@app.command()
def trigger(
    type: Annotated[str, typer.Argument(help="One of the catalogue, such as job.failed.")],  # noqa: A002
    set: Annotated[list[str] | None, typer.Option(help="A field of the resource: id=job_1.")] = None,  # noqa: A002
    tell_only: Annotated[bool, typer.Option(help="The webhook alone, as if it came late: nothing changes.")] = False,
    url: Url = "",
    folder: Folder = None,
) -> int:
    """Has something happen: the state changes, and the event is told."""
    if type not in TYPES:
        raise ConfigurationError([f"{type} is not in Zyra's catalogue: {', '.join(TYPES)}"])
    data: dict[str, Any] = {}
    for setting in set or []:
        set_field(data, *parse_field(setting))
    sent = control(url, folder, "POST", "trigger", {"type": type, "data": data, "tell_only": tell_only})["endpoints"]
    if not sent:
        raise CommandFailed(f"no endpoint is registered for {type}: `zyra-receiver endpoints register` does it")
    print_line(f"sent to {sent} endpoints")
    return 0


@app.command()
def key(
    user: Annotated[str, typer.Option(help="Whose; nobody known is made.")] = "",
    role: Annotated[str, typer.Option(help="Of a user who is made: org_admin (the default) or org_member.")] = "",
    url: Url = "",
    folder: Folder = None,
) -> int:
    """Makes an API key, and prints it this once."""
    print(control(url, folder, "POST", "keys", {"user": user, "role": role})["key"])
    return 0


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="The key's first 18 characters.")], url: Url = "", folder: Folder = None
) -> int:
    """Revokes an API key, at once."""
    control(url, folder, "DELETE", f"keys/{quote(prefix[:18], safe='')}")
    return 0


def control(url: str, folder: Path | None, method: str, path: str, body: Any = None) -> Any:
    """What the sandbox's control API answers. Raises ConfigurationError where its token is not found."""
    dev = local.find_running_dev(read_environment())
    base = url or dev.get("sandbox") or "http://127.0.0.1:8081"
    shown = {TOKEN_HEADER: read_token(folder, dev)}
    try:
        answer = httpx2.request(method, f"{base}/sandbox/{path}", json=body, headers=shown, timeout=10, trust_env=False)
        found = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        raise CommandFailed(f"there is no sandbox at {base}: `zyra-receiver sandbox` starts one") from None
    if not answer.is_success:
        raise CommandFailed(found.get("error", f"the sandbox answers {answer.status_code}"))
    return found


def read_token(folder: Path | None, dev: Mapping[str, Any]) -> str:
    """The token of the sandbox's control API. Raises ConfigurationError."""
    beside = [Path(dev["control_token_file"])] if "control_token_file" in dev else []
    places = [folder / CONTROL_TOKEN] if folder else [*beside, local.data_folder() / "sandbox" / CONTROL_TOKEN]
    for place in places:
        try:
            return place.read_text().strip()
        except OSError:
            continue
    raise ConfigurationError(
        [f"the sandbox's token is not in {places[0]}: does it run? --data-dir names the folder of another one"]
    )
