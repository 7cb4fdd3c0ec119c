"""zyra-receiver new"""

import json
import keyword
import re
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Annotated

import typer

from receiver.contract.errors import ConfigurationError

from ...testing.events import make_event
from ..output import print_line
from ..plugin_files import FILES

app = typer.Typer(add_completion=False, rich_markup_mode=None)
NAME = re.compile(r"[a-z][a-z0-9_-]*")
TAKEN = {"receiver", "workers", "tests", *sys.stdlib_module_names}
FIXTURE = "virtual_server.error"


@app.command()
def new(name: Annotated[str, typer.Argument(help="Name of the package, such as my-handlers.")]) -> None:
    """Make a package of handlers: one handler, its test, an event of the sandbox, and how to install it."""
    package = name.replace("-", "_")
    if not NAME.fullmatch(name) or keyword.iskeyword(package) or package in TAKEN:
        advice = "use lower-case letters, digits and -, such as my-handlers"
        raise ConfigurationError([f"{name!r} is no valid package name: {advice}"])
    folder = Path(name)
    if folder.exists():
        raise ConfigurationError([f"{folder} already exists: choose another name"])
    body = json.dumps(json.loads(make_event(FIXTURE, data={"id": "vs_0002"}).body), indent=1)
    words = {"name": name, "package": package, "requirement": find_requirement()}
    for path, text in {**FILES, f"tests/{FIXTURE}.json": body + "\n"}.items():
        target = folder / path.replace("PACKAGE", package)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(fill(text, words))
    print_line(f"made {folder}: see {folder / 'README.md'}. Its test: cd {name} && python -m pytest")


def fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


def find_requirement() -> str:
    """How to ask for this very release: as it was installed, where that was not from an index."""
    try:
        own = distribution("zyra-receiver")
    except PackageNotFoundError:
        return "zyra-receiver"
    origin = json.loads(own.read_text("direct_url.json") or "{}")
    if "vcs_info" in origin:
        return f"zyra-receiver @ {origin['vcs_info']['vcs']}+{origin['url']}@{origin['vcs_info']['commit_id']}"
    return f"zyra-receiver @ {origin['url']}" if origin.get("url") else f"zyra-receiver>={own.version}"
