"""The route table, `routes.toml`: every call that we know of, by area and name."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

import msgspec

from .errors import NoId

CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/(?:[A-Za-z0-9._~/-]|\{[a-z_]+\})*)")
PARAMETER = re.compile(r"\{([a-z_]+)\}")


class Limit(StrEnum):
    """The classes of Zyra's limits; each has a budget."""

    READ = "read"
    CREATE = "create"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Calls a minute, by class."""

    create: int = 5
    read: int = 30
    bulk: int = 100

    def get(self, limit: Limit) -> int:
        return {Limit.CREATE: self.create, Limit.READ: self.read, Limit.BULK: self.bulk}[limit]


class Kind(StrEnum):
    ONE = "one"
    LIST = "list"
    FILE = "file"
    NOTHING = "nothing"


class Certainty(StrEnum):
    DOCUMENTED = "documented"
    NAMED = "named"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A row; `routes.toml` says what its columns mean."""

    call: str
    limit: Limit
    certainty: Certainty
    source: str
    answer: Kind = Kind.ONE
    fields: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    look_up: str = ""
    name: str = ""

    @property
    def method(self) -> str:
        return self.call.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.call.partition(" ")[2]

    @property
    def area(self) -> str:
        return self.name.partition(".")[0]

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def changes(self) -> bool:
        return self.method != "GET"

    @property
    def is_scim(self) -> bool:
        """SCIM has tokens, lists and documents of its own (RFC 7644)."""
        return self.path.startswith("/scim/")

    def at(self, *ids: str) -> str:
        """The path for these ids, quoted, since an id must not climb to another path. Raises NoId."""
        if len(ids) != len(self.parameters):
            raise NoId(f"{self.name} takes {', '.join(self.parameters) or 'no id'}")
        if not all(ids) or any(part in (".", "..") for part in ids):
            raise NoId(f"{self.name}: an id is empty, or no id: {', '.join(ids)}")
        values = iter(ids)
        return PARAMETER.sub(lambda _: quote(next(values), safe="-_~"), self.path)


Routes = Mapping[str, Route]


@cache
def load_default_routes() -> Routes:
    """Every route by area.name."""
    areas = tomllib.loads(files(__package__).joinpath("routes.toml").read_text("utf-8"))
    rows = {f"{area}.{name}": row for area, routes in areas.items() for name, row in routes.items()}
    return MappingProxyType({name: msgspec.convert(row | {"name": name}, Route) for name, row in rows.items()})


def load_routes(path: Path | None) -> Routes:
    """The table, with the calls that a file says otherwise: "devices.approve" = "PUT /...". Raises ValueError."""
    routes = dict(load_default_routes())
    if path is None:
        return routes
    try:
        changes = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot be read: {path}: {error}") from None
    for name, call in changes.items():
        if name not in routes:
            raise ValueError(f'names no call: {name!r}: `zyra-receiver api routes` lists all, such as "devices.get"')
        if not isinstance(call, str) or not CALL.fullmatch(call):
            raise ValueError(f'{name} must be a verb and a path, such as "POST /api/v1/devices/{{id}}/approve"')
        changed = replace(routes[name], call=call)
        if changed.parameters != routes[name].parameters:
            raise ValueError(f"{name} must hold {routes[name].parameters}, in this order, as {routes[name].call} does")
        routes[name] = changed
    return routes
