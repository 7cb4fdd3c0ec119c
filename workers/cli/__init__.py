"""The command line: `zyra-receiver`, or `python -m workers.cli`.

app           the commands, and the one way in which errors leave them
commands      one module a command
access        opens the ledger and Zyra's API for a command
local         the environment of a command: the process's own, completed by a running `dev`
errors        what ends a command with exit code 1
event_filters options of commands that choose events
plugin_files  the files of a new package of handlers
run_diff      compares what handlers would do with what they did
handler_list  tells which handlers are loaded, and why others are not
refusals      refused deliveries, as receivers note them
output        prints words, tables and JSON
fields        reads name=value
embedded      the processes of `dev`, with a Redis-compatible server; `reload` replaces them when code is saved
registration  registers an endpoint at Zyra
rotation      replaces the secret of our endpoint at Zyra; `secret_file` keeps it
secret_forms  tells what is wrong with how a secret looks
scheme_words  says how a provider is set up, and how it retries
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]  # where our packages are


def main(arguments: list[str] | None = None) -> None:
    """Runs a command and exits."""
    if hidden := find_hiding_package("receiver"):
        sys.exit(f"error: {hidden} hides our package `receiver`: rename it, or take its folder out of PYTHONPATH")
    from .app import run

    run(arguments)


def find_hiding_package(name: str) -> str:
    """Where a package of this name is that is not ours, or ""."""
    spec = find_spec(name)
    origin = Path((spec and spec.origin) or ".").absolute()
    return "" if ROOT / name in origin.parents else str(origin)
