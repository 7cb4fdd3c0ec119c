"""The commands of `zyra-receiver`, and the one way in which errors leave them.

Only the command that is called is imported.
"""

import difflib
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any

import redis
import typer
from typer.core import TyperGroup

from receiver.contract import logs
from receiver.contract.errors import ConfigurationError
from receiver.contract.memory import forbid_core_dumps
from receiver.contract.redis_faults import explain_to_operator

from ..errors import RetryLater
from ..zyra.errors import ZyraError
from .errors import CommandFailed
from .output import print_red

COMMANDS = {
    "dev": "Run everything on this machine: Redis, a Zyra sandbox, the receiver and a worker.",
    "serve": "Run the receiver.",
    "work": "Run a worker.",
    "check": "Validate configuration, handlers and Redis.",
    "send": "Sign an event as its source would, and post it.",
    "events": "List, show, capture, replay, discard, purge, erase, export, import, explain and reconcile events.",
    "new": "Make a package of handlers, with a test that passes.",
    "run": "Run one attempt of a handler here, with the API recorded, or in a debugger.",
    "handlers": "List the loaded handlers, and those that an event would run; pause and resume them.",
    "sources": "List the sources, the use of each secret, and which secret is safe to remove.",
    "schemes": "List, show and verify signature schemes.",
    "api": "Call Zyra's API, show what is left of its limits, compare its routes with ours.",
    "sandbox": "Run a Zyra to develop against, with faults on request; trigger its events.",
    "endpoints": "Register, list, rotate and delete our webhook endpoint at Zyra.",
    "ledger": "Move the ledger's records to another seal key.",
    "status": "Show what is flowing, what is stuck, and what to do.",
    "metrics": "List the metrics that receivers and workers show.",
    "health": "Check whether this container is alive: exit code 0 if it is.",
}


SERVICES = ("serve", "work")
log = logging.getLogger(__name__)


class Commands(TyperGroup):
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".commands.{cmd_name}", __package__)
        command = typer.main.get_command(module.app)
        command.name, command.help = cmd_name, COMMANDS[cmd_name]
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if (name := args[0]) not in COMMANDS and not name.startswith("-"):
            near = "".join(f"; did you mean {one!r}?" for one in difflib.get_close_matches(name, COMMANDS, 1))
            ctx.fail(f"there is no command {name!r}{near}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(cls=Commands, add_completion=False, rich_markup_mode=None)


def show_version(wanted: bool) -> None:
    if wanted:
        print(metadata.version("zyra-receiver"))
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Receive webhooks, keep them, and run handlers on them."""


def run(arguments: list[str] | None = None) -> None:
    """Runs a command. Exits with 0, or 1 where it failed, or 2 where it was called or configured wrongly.

    Every error leaves here: on standard error, beginning with `error:`; of a service whose log is JSON, as its lines.
    """
    forbid_core_dumps()
    words = arguments or sys.argv[1:] or ["--help"]
    quit_with = quit_as_service if words[0] in SERVICES and not sys.stderr.isatty() else quit_as_command
    logging.getLogger().addHandler(logging.NullHandler())  # a command says itself what went wrong, and once
    try:
        status = app(words, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python would speak of it at its end
        status = 0
    except CommandFailed as error:
        quit_with(1, *str(error).splitlines())
    except ZyraError as error:
        quit_with(1, str(error), error.advice)
    except RetryLater as error:
        quit_with(1, str(error))
    except ConfigurationError as error:
        quit_with(2, *error.faults, *hint(error.faults))
    except typer.TyperException as error:
        quit_with(2, *filter(None, [error.format_message()]))
    except (typer.Abort, KeyboardInterrupt):
        quit_with(130, "interrupted")
    except SystemExit as end:  # of the receiver, which does not know the command line
        if not isinstance(end.code, str):
            raise
        quit_with(1, end.code.removeprefix("error: "))
    except redis.RedisError as error:
        quit_with(1, f"{explain_to_operator(error)}. Is REDIS_URL right, and does Redis run?")
    sys.exit(status if isinstance(status, int) else 0)


def hint(faults: Sequence[str]) -> list[str]:
    """A hint, if settings are missing and a stopped `dev` could provide them."""
    from .local import find_data_folder, find_running_dev

    if not any("is not set" in fault for fault in faults) or not find_data_folder().exists() or find_running_dev():
        return []
    return [f"`make dev` is stopped: start it, and commands here use its settings in {find_data_folder()}"]


def quit_as_command(status: int, *lines: str) -> None:
    for line in lines:
        print_red(f"error: {line}")
    sys.exit(status)


def quit_as_service(status: int, *lines: str) -> None:
    """Errors at the start of a service stand in its log, in the form of all other lines."""
    logs.setup("ERROR")
    for line in lines:
        log.error("%s", line)
    sys.exit(status)
