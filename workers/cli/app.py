"""The commands of `zyra-receiver`, and the one way in which errors leave them.

Only the command that is called is imported.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any

import redis
import typer
from typer.core import TyperGroup

from receiver.contract.errors import ConfigurationError
from receiver.contract.logs import printable
from receiver.contract.memory import forbid_core_dumps

from ..errors import RetryLater
from ..zyra.errors import ZyraError
from .errors import CommandFailed

COMMANDS = {
    "dev": "Everything on one machine: Redis, a Zyra sandbox, the receiver and a worker.",
    "serve": "The receiver.",
    "work": "A worker.",
    "check": "Validates configuration, handlers and Redis.",
    "send": "Signs an event as its source would, and posts it.",
    "events": "The ledger: list, show, replay, discard.",
    "handlers": "Which handlers are loaded, and which of them would run.",
    "sources": "Our sources: which secret verified what, what is safe to remove.",
    "schemes": "The signature schemes: list, show, verify.",
    "api": "Zyra's API: any call, what is left of its limits, whether our table is right.",
    "sandbox": "A Zyra to develop against, with chaos on request; trigger tells an event.",
    "endpoints": "Our endpoint at Zyra: register, list, rotate, delete.",
    "status": "What is flowing, what is stuck, what to do.",
    "health": "For containers: exits with 0 if this role is alive.",
}


class Commands(TyperGroup):
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".commands.{cmd_name}", __package__)
        command = typer.main.get_command(module.app)
        command.name, command.help = cmd_name, COMMANDS[cmd_name]
        return command

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
    """Receives webhooks, keeps them, and runs handlers on them."""


def run(arguments: list[str] | None = None) -> None:
    """Runs a command. Exits with 0, or 1 where it failed, or 2 where it was called or configured wrongly.

    Every error leaves here: on standard error, beginning with `error:`.
    """
    forbid_core_dumps()
    try:
        status = app(arguments or sys.argv[1:] or ["--help"], standalone_mode=False)
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
    except redis.RedisError as error:
        quit_with(1, f"Redis does not answer as it should: {error}. Is REDIS_URL right, and does Redis run?")
    sys.exit(status if isinstance(status, int) else 0)


def hint(faults: Sequence[str]) -> list[str]:
    """What is missing may be what a `dev` tells, if one ran."""
    from .local import data_folder, find_running_dev

    if not any("is not set" in fault for fault in faults) or not data_folder().exists() or find_running_dev():
        return []
    return [f"or is it `make dev` that does not run, with {data_folder()}?"]


def quit_with(status: int, *lines: str) -> None:
    for line in lines:
        print(f"error: {printable(line)}", file=sys.stderr)
    sys.exit(status)
