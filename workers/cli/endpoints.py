"""zyra-receiver endpoints"""

import os
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract.errors import ConfigurationError
from receiver.schemes import table as schemes

from ..zyra import ZyraError
from .api import client
from .output import line, table

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def register(
    url: Annotated[str, typer.Argument(help="Our public URL, such as https://hooks.example.com/webhooks/zyra.")],
    secret_file: Annotated[Path, typer.Option(help="Where the signing secret goes: it is told only once.")],
    event: Annotated[list[str] | None, typer.Option(help="A type to be told; all of the catalogue if none.")] = None,
    description: Annotated[str, typer.Option()] = "zyra-receiver",
) -> int:
    """Registers our endpoint and keeps its signing secret."""
    try:
        descriptor = os.open(secret_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError([f"{secret_file} exists: name a new file, or remove the old secret first"]) from None
    except OSError as error:
        raise ConfigurationError([f"cannot write {secret_file}: {error.strerror}"]) from None
    with open(descriptor, "w") as file:
        try:
            with closing(client()) as zyra:
                made = zyra.webhooks.endpoints.create(url, event or schemes()["zyra"].types, description)
            file.write(str(made["secret"]))
        except Exception as error:
            secret_file.unlink()
            if isinstance(error, ConfigurationError):
                raise
            return failed(error)
    line(f"registered {made.get('id')}; its secret is in {secret_file}: set ZYRA_WEBHOOK_SECRET_FILE to it")
    return 0


@app.command("list")
def list_endpoints() -> int:
    """Our endpoints at Zyra."""
    try:
        with closing(client()) as zyra:
            rows = [(row.id, row.url, len(row.events or [])) for row in zyra.webhooks.endpoints.list()]
    except ZyraError as error:
        return failed(error)
    table(("ID", "URL", "EVENTS"), rows)
    return 0


@app.command()
def delete(endpoint: Annotated[str, typer.Argument(help="The endpoint's id.")]) -> int:
    """Deletes an endpoint at Zyra: nothing more is sent to it."""
    try:
        with closing(client()) as zyra:
            zyra.webhooks.endpoints.delete(endpoint)
    except ZyraError as error:
        return failed(error)
    line(f"deleted {endpoint}")
    return 0


def failed(error: Exception) -> int:
    line(f"Zyra refused: {error}" if isinstance(error, ZyraError) else f"Zyra's answer holds no secret: {error!r}")
    return 1
