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

CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (/(?:[A-Za-z0-9._~/-]|\{[A-Za-z0-9_-]+\})*)")
PARAMETER = re.compile(r"\{([A-Za-z0-9_-]+)\}")


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
    REDIRECT = "redirect"  # its address is the answer


class LookUp(StrEnum):
    """How to find out whether a call whose answer got lost has happened."""

    NONE = ""
    SAFE = "safe"
    NAMED = "named"
    STATUS = "status"
    GONE = "gone"


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
    look_up: LookUp = LookUp.NONE
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    begins: str = ""
    id: tuple[str, ...] = ("id", "uuid")
    state: tuple[str, ...] = ("status", "state")
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
        return self.method not in ("GET", "HEAD")

    @property
    def is_scim(self) -> bool:
        """SCIM has tokens, lists and documents of its own (RFC 7644)."""
        return self.area.startswith("scim_") or self.path.startswith("/scim/")

    def at(self, *ids: object) -> str:
        """The path for these ids, quoted, since an id must not climb to another path. Numbers are ids, too.

        Raises NoId.
        """
        if len(ids) != len(self.parameters):
            raise NoId(f"{self.name} takes {', '.join(self.parameters) or 'no id'}")
        values = iter([read_id(self.name, one) for one in ids])
        return PARAMETER.sub(lambda _: quote(next(values), safe="-_~"), self.path)


def read_id(name: str, value: object) -> str:
    """An id as it stands in a path. Raises NoId for what is none, such as None, also where it became text."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if text.strip() in ("", ".", "..") or text.casefold() in ("none", "null", "undefined"):
        raise NoId(f"{name}: {value!r} is no id")
    return text


Routes = Mapping[str, Route]


@cache
def load_default_routes() -> Routes:
    """Every route by area.name."""
    areas = tomllib.loads(files(__package__).joinpath("routes.toml").read_text("utf-8"))
    routes = {}
    for area, values in areas.items():
        shared = {name: value for name, value in values.items() if not isinstance(value, dict)}
        for name, row in values.items():
            if isinstance(row, dict):
                routes[f"{area}.{name}"] = msgspec.convert({**shared, **row, "name": f"{area}.{name}"}, Route)
    return MappingProxyType(routes)


def write_change(name: str, verb: str, path: str) -> str:
    """The line of ZYRA_API_ROUTES that gives a call another verb and path."""
    return f'in ZYRA_API_ROUTES: "{name}" = "{verb} {path}"'


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What a file may say of a call, as `routes.toml` has it. Of an area it may say id and state only."""

    call: str = ""
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    state: tuple[str, ...] = ()


def load_routes(path: Path | None) -> Routes:
    """The table, with what a file says otherwise. Raises ValueError.

    "devices.approve" = "PUT /..." is another call; "devices.approve" = {after = ["ready"]} names other states;
    devices = {id = ["serial"], state = ["phase"]} names the fields of all devices.
    """
    routes = dict(load_default_routes())
    if path is None:
        return routes
    try:
        changes = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"cannot be read: {path}: {error}") from None
    for name, change in changes.items():
        of_area = [route for route in routes.values() if route.area == name]
        if name not in routes and not of_area:
            raise ValueError(f'names no call: {name!r}: `zyra-receiver api routes` lists all, such as "devices.get"')
        if of_area and not (isinstance(change, dict) and change.keys() <= {"id", "state"}):
            raise ValueError(f'{name} is an area: {{id = ["..."], state = ["..."]}} names the fields of its answers')
        for route in of_area or [routes[name]]:
            routes[route.name] = change_route(route, change)
    return routes


def change_route(route: Route, value: object) -> Route:
    """The route as a file wants it. Raises ValueError."""
    try:
        change = msgspec.convert(value, Change) if isinstance(value, dict) else Change(call=str(value))
    except msgspec.ValidationError as error:
        raise ValueError(f"{route.name}: {error}; it may have call, after, before, id and state") from None
    call = change.call or route.call
    if not CALL.fullmatch(call):
        raise ValueError(f'{route.name} must be a verb and a path, such as "POST /api/v1/devices/{{id}}/approve"')
    if (change.after or change.before) and route.look_up not in (LookUp.STATUS, LookUp.GONE):
        raise ValueError(f"{route.name} is not looked up by a state: it takes no after and no before")
    changed = replace(
        route,
        call=call,
        after=change.after or route.after,
        before=change.before or route.before,
        id=change.id or route.id,
        state=change.state or route.state,
    )
    names = changed.parameters
    moved = any(name in route.parameters and name != own for name, own in zip(names, route.parameters, strict=False))
    if len(names) != len(route.parameters) or moved:
        raise ValueError(f"{route.name} must hold ids for {route.parameters}, in this order; they may have other names")
    return changed
