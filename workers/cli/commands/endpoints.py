"""zyra-receiver endpoints"""

import contextlib
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from receiver.contract.addresses import LOOPBACK_NAMES
from receiver.contract.errors import ConfigurationError
from receiver.schemes import load_schemes as schemes

from ...zyra import Zyra
from ...zyra.models import Endpoint
from .. import rotation, secret_file
from ..access import open_client, wait_for_budget
from ..errors import CommandFailed
from ..output import print_line, print_table
from ..registration import create_endpoint, iterate_endpoints, list_ours
from ..rotation import OURS, ProbePlan

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Url = Annotated[str, typer.Option(help="Our public URL, such as https://hooks.example.com/webhooks/zyra.")]
File = Annotated[
    Path | None,
    typer.Option(
        "--secret-file", help="File for the signing secret, which Zyra tells only once; also ZYRA_WEBHOOK_SECRET_FILE."
    ),
]

New = Annotated[bool, typer.Option("--new", help="Allow types that are not in the known catalogue.")]


@app.command()
def register(
    url: Url,
    events: Annotated[str, typer.Option(help="Comma-separated types; default: the whole catalogue.")] = "",
    secret_file_: File = None,
    new: New = False,
) -> int:
    """Register our endpoint and write its signing secret to a file. An existing endpoint is brought up to date."""
    url = check_url(url)
    wanted = parse_types(events, new) or list(schemes()["zyra"].types)
    path = secret_file.choose_path(secret_file_)
    with use_client() as zyra:
        ours = [*list_ours(zyra, url).values()]
        if len(ours) > 1:
            raise CommandFailed(
                f"{url} is registered {len(ours)} times: `endpoints rotate` ends a rotation, or delete one"
            )
        if ours:
            return update(zyra, ours[0], wanted, path)
        with secret_file.lock_file(path):
            create(zyra, url, wanted, path)
    return 0


@app.command("list")
def list_endpoints() -> int:
    """List our endpoints at Zyra."""
    with use_client() as zyra:
        rows = [(row.id, row.url, len(row.events or [])) for row in iterate_endpoints(zyra)]
        print_table(("ID", "URL", "EVENTS"), rows)
    return 0


@app.command()
def delete(endpoint: Annotated[str, typer.Argument(help="The endpoint's id.")]) -> int:
    """Delete an endpoint at Zyra."""
    with use_client() as zyra:
        wait_for_budget(lambda: zyra.webhooks.endpoints.delete(endpoint))
        print_line(f"deleted {endpoint}")
    return 0


@app.command()
def rotate(
    url: Url,
    secret_file_: File = None,
    events: Annotated[str, typer.Option(help="Comma-separated types; default: those of the present endpoint.")] = "",
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds within which the receivers must accept the new secret.")
    ] = 60.0,
    probe: Annotated[
        bool, typer.Option(help="Probe whether the receivers accept the new secret; without it, only wait.")
    ] = True,
    new: New = False,
    probes: Annotated[
        int, typer.Option(min=1, help="Number of probes in a row that must succeed: several for each receiver.")
    ] = 20,
) -> int:
    """Replace the secret of our endpoint without losing an event: by a second endpoint, and both secrets for a while.

    It goes only once the URL takes deliveries with the new secret. What was broken off goes on where it was.
    """
    path = secret_file.choose_path(secret_file_)
    with secret_file.lock_file(path), use_client() as zyra:
        rotation.rotate(
            zyra, check_url(url), path, parse_types(events, new), ProbePlan(probes=probes if probe else 0, wait=wait)
        )
    return 0


@contextlib.contextmanager
def use_client() -> Iterator[Zyra]:
    """The client. Raises ConfigurationError for what is no id."""
    try:
        with closing(open_client()) as zyra:
            yield zyra
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None


def check_url(url: str) -> str:
    """Raises ConfigurationError: Zyra wants https, and the sandbox takes this machine, too."""
    try:
        parts = urlsplit(url)
        good = (
            bool(parts.hostname) and parts.port != 0 and (parts.scheme == "https" or parts.hostname in LOOPBACK_NAMES)
        )
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError([f"--url {url}: must be https, such as https://hooks.example.com/webhooks/zyra"])
    return url


def parse_types(text: str, new: bool) -> list[str]:
    """Raises ConfigurationError for a type that is in no catalogue: an endpoint with a misspelt one hears nothing."""
    wanted, known = [one.strip() for one in text.split(",") if one.strip()], schemes()["zyra"].types
    unknown = [one for one in wanted if one not in known]
    if unknown and not new:
        message = f"{', '.join(unknown)} is not in the catalogue: {', '.join(known)}"
        raise ConfigurationError([f"{message}; --new says that Zyra has it by now"])
    return wanted


def create(zyra: Zyra, url: str, events: list[str], path: Path) -> None:
    """A new endpoint whose secret goes into a file that held none."""
    if secret_file.read(path) is not None:
        raise ConfigurationError([f"{path} exists, and holds another endpoint's secret: name a new file"])
    secret_file.check_writable(path)

    def keep(name: str, secret: str) -> None:
        try:
            secret_file.write(path, secret)
        except BaseException:
            with contextlib.suppress(OSError):
                os.truncate(path, 0)
            raise

    name = create_endpoint(zyra, url, events, OURS, path, keep)
    print_line(f"registered {name}; its secret is in {path}: set ZYRA_WEBHOOK_SECRET_FILE to it")


def update(zyra: Zyra, known: Endpoint, events: list[str], path: Path) -> int:
    if secret_file.read(path) is None:
        raise CommandFailed(
            f"{known.url} is registered as {known.id}, and {path} does not hold its secret, which Zyra tells only "
            f"once: `endpoints delete {known.id}`, then register it again"
        )
    if sorted(known.events or []) == sorted(events):
        print_line(f"registered already as {known.id}: nothing to change")
    else:
        wait_for_budget(lambda: zyra.webhooks.endpoints.update(str(known.id), events=events))
        print_line(f"registered already as {known.id}: told {len(events)} types from now on")
    return 0
