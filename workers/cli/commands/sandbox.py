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

Url = Annotated[str, typer.Option(help="URL of the sandbox; default: that of the running dev.")]
Folder = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder of the sandbox, with the token of its control API.")
]
app = typer.Typer(add_completion=False, rich_markup_mode=None, invoke_without_command=True)


@app.callback()
def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = 8081,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for its key and its endpoints.")] = None,
    hooks: Annotated[str, typer.Option(help="URL of a receiver that gets all events.")] = "",
    seed_file: Annotated[
        Path | None, typer.Option(help='File with the initial resources: {"devices": {"dev_1": {...}}}.')
    ] = None,
    trouble: Annotated[
        str, typer.Option("--chaos", help="Faults: dup,reorder,late,drop,rewrite,slow,fail-after,...")
    ] = "",
    seed: Annotated[int, typer.Option(help="Seed of the faults; the same seed gives the same faults.")] = 0,
    shaped: Annotated[
        str,
        typer.Option(
            "--shape", help="Variant of payloads and envelopes: payload=nested|flat|resource,total=...,errors=..."
        ),
    ] = "",
    minute: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a minute of limits, breaches and payments lasts.")
    ] = 60.0,
    life: Annotated[float, typer.Option(min=0, help="Spontaneous events a minute.")] = 0.0,
) -> None:
    """Run a Zyra to develop against, on this machine only. `dev` runs one, too."""
    if context.invoked_subcommand:
        return
    try:
        options = Options(chaos=trouble, seed=seed, shape=shaped, minute=minute, life=life)
        folder = prepare((data_dir or local.find_data_folder() / "sandbox").absolute(), seed_file)
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
    type: Annotated[str, typer.Argument(help="Type of the catalogue, such as job.failed.")],
    set: Annotated[
        list[str] | None, typer.Option(help="Field of the resource, such as id=job_1; may be repeated.")
    ] = None,
    tell_only: Annotated[
        bool, typer.Option(help="Send the webhook without changing the state, as if it came late.")
    ] = False,
    url: Url = "",
    folder: Folder = None,
) -> int:
    """Trigger an event: change the state, and send the webhook."""
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
    user: Annotated[str, typer.Option(help="User of the key; an unknown user is created.")] = "",
    role: Annotated[str, typer.Option(help="Role of a user who is created: org_admin (default) or org_member.")] = "",
    url: Url = "",
    folder: Folder = None,
) -> int:
    """Create an API key, and print it this once."""
    print(control(url, folder, "POST", "keys", {"user": user, "role": role})["key"])
    return 0


@app.command()
def revoke(
    prefix: Annotated[str, typer.Argument(help="First 18 characters of the key.")], url: Url = "", folder: Folder = None
) -> int:
    """Revoke an API key at once."""
    control(url, folder, "DELETE", f"keys/{quote(prefix[:18], safe='')}")
    return 0


def control(url: str, folder: Path | None, method: str, path: str, body: Any = None) -> Any:
    """What the sandbox's control API answers. Raises ConfigurationError where its token is not found."""
    dev = local.find_running_dev(read_environment())
    base = url or dev.get("sandbox") or "http://127.0.0.1:8081"
    shown = {TOKEN_HEADER: read_token(folder, dev)}
    try:
        answer = httpx2.request(method, f"{base}/sandbox/{path}", json=body, headers=shown, timeout=10, trust_env=False)
        document = answer.json()
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):
        raise CommandFailed(f"there is no sandbox at {base}: `zyra-receiver sandbox` starts one") from None
    if not answer.is_success:
        raise CommandFailed(document.get("error", f"the sandbox answers {answer.status_code}"))
    return document


def read_token(folder: Path | None, dev: Mapping[str, Any]) -> str:
    """The token of the sandbox's control API. Raises ConfigurationError."""
    beside = [Path(dev["control_token_file"])] if "control_token_file" in dev else []
    places = [folder / CONTROL_TOKEN] if folder else [*beside, local.find_data_folder() / "sandbox" / CONTROL_TOKEN]
    for place in places:
        try:
            return place.read_text().strip()
        except OSError:
            continue
    raise ConfigurationError(
        [f"the sandbox's token is not in {places[0]}: does it run? --data-dir names the folder of another one"]
    )
