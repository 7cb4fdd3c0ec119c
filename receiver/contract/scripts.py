"""Lua that changes the ledger. Every script starts with `ledger.lua`: the keys, and the way a unit is queued."""

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from . import formats
from .keys import Keys


def compose_script(
    package: str,
    *names: str,
    allow_oom: bool = False,
    heals: bool = False,
    more_types: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The text of one script.

    allow_oom: it finishes, expires or deletes, so a full Redis must let it through. heals: it mends indexes itself.
    more_types: of keys that it uses besides those that all scripts do.
    """
    types = ", ".join(f"{name} = '{kind}'" for name, kind in more_types.items())
    head = (
        f"#!lua{' flags=allow-oom' if allow_oom else ''}\n"
        f"local FORMAT = {formats.FORMAT}\nlocal MORE_TYPES = {{{types}}}\n"
    )
    first = ["ledger.lua"] if heals else ["ledger.lua", "checked.lua"]
    shared = "".join(files("receiver.contract").joinpath(name).read_text() for name in first)
    return head + shared + "".join(files(package).joinpath(name).read_text() for name in names)


def build_arguments(keys: Keys, *rest: str | bytes | int | float) -> list[Any]:
    """What follows a script in EVALSHA: the keys it declares, the arguments of `ledger.lua`, then the script's own."""
    names = keys.script_keys
    return [len(names), *names, keys.prefix, keys.rq_prefix, keys.queue, *rest]
