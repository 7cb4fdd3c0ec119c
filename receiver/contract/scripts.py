"""Lua that changes the ledger. Every script starts with `ledger.lua`: the keys, and the way a unit is queued."""

from importlib.resources import files
from typing import Any

from . import formats
from .keys import Keys


def compose_script(package: str, *names: str, allow_oom: bool = False, heals: bool = False) -> str:
    """The text of one script.

    allow_oom: it finishes, expires or deletes, so a full Redis must let it through. heals: it mends indexes itself.
    """
    head = f"#!lua{' flags=allow-oom' if allow_oom else ''}\nlocal FORMAT = {formats.FORMAT}\n"
    first = ["ledger.lua"] if heals else ["ledger.lua", "checked.lua"]
    shared = "".join(files("receiver.contract").joinpath(name).read_text() for name in first)
    return head + shared + "".join(files(package).joinpath(name).read_text() for name in names)


def build_arguments(keys: Keys, *rest: str | bytes | int | float) -> list[Any]:
    """What follows a script in EVALSHA: the keys it declares, the arguments of `ledger.lua`, then the script's own."""
    names = keys.script_keys
    return [len(names), *names, keys.prefix, keys.rq_prefix, keys.queue, *rest]
