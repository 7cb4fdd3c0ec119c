"""zyra-receiver endpoints"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract.errors import ConfigurationError
from receiver.schemes import table as schemes

from ..zyra import Zyra, ZyraError
from ..zyra.models import Endpoint
from .api import client
from .local import environment
from .output import line, table

app = typer.Typer(add_completion=False, rich_markup_mode=None)
OURS = "zyra-receiver"
ROTATED = re.compile(r"\(in place of ([^)]+)\)")

Url = Annotated[str, typer.Option(help="Our public URL, such as https://hooks.example.com/webhooks/zyra.")]
File = Annotated[
    Path | None, typer.Option(help="Where the signing secret is: it is told only once. ZYRA_WEBHOOK_SECRET_FILE.")
]


class Refused(Exception):
    """What was asked for cannot be done; the message says what to do."""


@app.command()
def register(
    url: Url,
    events: Annotated[str, typer.Option(help="Types to be told, a comma list; all of the catalogue if none.")] = "",
    secret_file: File = None,
) -> int:
    """Registers our endpoint and keeps its signing secret; one that is there already is brought up to date."""
    wanted = [one.strip() for one in events.split(",") if one.strip()] or list(schemes()["zyra"].types)
    path = place(secret_file)
    with calling() as zyra:
        ours = find(zyra, url)
        if len(ours) > 1:
            raise Refused(f"{url} is registered {len(ours)} times: `endpoints rotate` ends a rotation, or delete one")
        if ours:
            return bring_up_to_date(zyra, ours[0], wanted, path)
        create(zyra, url, wanted, OURS, path)
    return 0


@app.command("list")
def list_endpoints() -> int:
    """Our endpoints at Zyra."""
    with calling() as zyra:
        rows = [(row.id, row.url, len(row.events or [])) for row in zyra.webhooks.endpoints.list()]
        table(("ID", "URL", "EVENTS"), rows)
    return 0


@app.command()
def delete(endpoint: Annotated[str, typer.Argument(help="The endpoint's id.")]) -> int:
    """Deletes an endpoint at Zyra: nothing more is sent to it."""
    with calling() as zyra:
        zyra.webhooks.endpoints.delete(endpoint)
        line(f"deleted {endpoint}")
    return 0


@app.command()
def rotate(
    url: Url,
    secret_file: File = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds until every receiver has read the file again.")] = 10.0,
) -> int:
    """Gives our endpoint a new secret without losing an event: a second endpoint, both secrets, then the first goes.

    Zyra has no call for it. What was broken off goes on where it was.
    """
    path = place(secret_file)
    with calling() as zyra:
        old, new = pair(zyra, url)
        if new is None:
            secret = read(path)
            if secret is None:
                raise Refused(f"{path} does not hold the present secret: without it what is under way would be refused")
            new = replacement(zyra, old, path, secret)
        line(f"both secrets are accepted once the receivers have read {path} again: waiting {wait:g} s")
        time.sleep(wait)
        zyra.webhooks.endpoints.delete(str(old.id))
        line(f"deleted {old.id}, {new.id} is in its place")
        line(
            "the old secret stays in the file for what Zyra may still repeat: `sources` says when it is safe to remove"
        )
    return 0


@contextmanager
def calling() -> Iterator[Zyra]:
    """The client; what goes wrong is one line and exit code 1."""
    try:
        with closing(client()) as zyra:
            yield zyra
    except ZyraError as error:
        line(f"Zyra refused: {error}")
        raise typer.Exit(1) from None
    except Refused as error:
        line(str(error))
        raise typer.Exit(1) from None


def find(zyra: Zyra, url: str) -> list[Endpoint]:
    return [row for row in zyra.webhooks.endpoints.list() if row.url == url and row.id]


def place(given: Path | None) -> Path:
    """Raises ConfigurationError where nobody says where the secret is."""
    named = environment().get("ZYRA_WEBHOOK_SECRET_FILE")
    if given is None and not named:
        raise ConfigurationError(["--secret-file is needed: the file where the receiver finds the signing secret"])
    return given or Path(str(named))


def read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except OSError:
        return None


def create(zyra: Zyra, url: str, events: list[str], description: str, path: Path) -> None:
    """A new endpoint whose secret goes into a new file."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError([f"{path} exists, and holds another endpoint's secret: name a new file"]) from None
    except OSError as error:
        raise ConfigurationError([f"cannot write {path}: {error.strerror}"]) from None
    with open(descriptor, "w") as file:
        try:
            made = zyra.webhooks.endpoints.create(url, events, description)
            file.write(told(made))
        except BaseException:
            path.unlink()
            raise
    line(f"registered {made.id}; its secret is in {path}: set ZYRA_WEBHOOK_SECRET_FILE to it")


def told(made: Endpoint) -> str:
    """The secret of a new endpoint."""
    if not made.secret:
        raise Refused(f"Zyra's answer holds no secret: delete {made.id}, and look at `api check`")
    return made.secret


def bring_up_to_date(zyra: Zyra, known: Endpoint, events: list[str], path: Path) -> int:
    if read(path) is None:
        raise Refused(
            f"{known.url} is registered as {known.id}, and {path} does not hold its secret, which Zyra tells only "
            f"once: `endpoints delete {known.id}`, then register it again"
        )
    if sorted(known.events or []) == sorted(events):
        line(f"registered already as {known.id}: nothing to change")
    else:
        zyra.webhooks.endpoints.update(str(known.id), events=events)
        line(f"registered already as {known.id}: told {len(events)} types from now on")
    return 0


def pair(zyra: Zyra, url: str) -> tuple[Endpoint, Endpoint | None]:
    """The endpoint that is to go, and the one in its place, if a rotation was broken off."""
    ours = find(zyra, url)
    by_id = {row.id: row for row in ours}
    for row in ours:
        before = ROTATED.search(row.description or "")
        if before and before[1] in by_id:
            return by_id[before[1]], row
    if len(ours) != 1:
        raise Refused(f"{url} is registered {len(ours)} times, not once: `endpoints list` shows all")
    return ours[0], None


def replacement(zyra: Zyra, old: Endpoint, path: Path, secret: str) -> Endpoint:
    """The second endpoint; its secret stands in the file before the old ones."""
    description = f"{OURS} (in place of {old.id})"
    made = zyra.webhooks.endpoints.create(str(old.url), old.events or [], description)
    try:
        keep(path, f"{told(made)},{secret}")
    except BaseException as error:
        zyra.webhooks.endpoints.delete(str(made.id))  # nobody could verify what it would send
        if isinstance(error, OSError):
            raise Refused(f"cannot write {path}: {error.strerror}: nothing was changed") from None
        raise
    line(f"registered {made.id}; its secret is in {path}, before the old one")
    return made


def keep(path: Path, text: str) -> None:
    """Writes the file whole, with the rights that it has."""
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, path.stat().st_mode & 0o777)
    with open(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
