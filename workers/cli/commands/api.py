"""zyra-receiver api"""

import json
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from receiver.contract.errors import ConfigurationError

from ...zyra import calls, openapi
from ...zyra.client import Zyra
from ...zyra.routes import Kind, Route, Routes, load_default_routes
from ...zyra.transport import run
from ..access import list_all, open_client, read_settings, wait_for_budget
from ..fields import parse_field, set_field
from ..output import ResultPrinter, print_json, print_line
from ..output import print_table as print_table

app = typer.Typer(add_completion=False, rich_markup_mode=None)
METHODS = ("get", "post", "put", "patch", "delete")
T = TypeVar("T")


@app.command()
def api(
    words: Annotated[
        list[str],
        typer.Argument(
            help="An area and a call, with ids (devices list; virtual-servers stop vs_0001), or a verb and a path (get "
            "/api/v1/devices), or: routes; budget; check [FILE or URL]."
        ),
    ],
    set: Annotated[
        list[str] | None, typer.Option(help="Field of the body, such as name=web or a.b=5; may be repeated.")
    ] = None,
    data: Annotated[str, typer.Option(help="Whole body: JSON, or @FILE.")] = "",
    param: Annotated[
        list[str] | None, typer.Option(help="Query parameter, such as status=online; may be repeated.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write, for calls that answer with a PDF or an export.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items of a list.")] = 1000,
    as_lines: Annotated[bool, typer.Option("--json", help="Print JSON, as in a pipe.")] = False,
) -> int:
    """Call Zyra's API with our key, within the budget that the workers share."""
    show = ResultPrinter(as_lines or not sys.stdout.isatty(), limit)
    what, *rest = words
    if what in ("routes", "budget", "check"):
        return {"routes": show_routes, "budget": show_budget, "check": check}[what](rest, show)
    body, params = read_body(set, data), dict(parse_field(one) for one in param or [])
    try:
        with closing(open_client()) as zyra:
            if what in METHODS:
                return call_by_path(zyra, what.upper(), rest, params, body, show)
            return call_by_name(zyra, what, rest, params, body, out, show)
    except BrokenPipeError:  # of our own output: an OSError, too
        raise
    except OSError as error:
        raise ConfigurationError([f"cannot write {out}: {error.strerror}"]) from None
    except ValueError as error:
        raise ConfigurationError([str(error)]) from None


def call_by_path(
    zyra: Zyra, method: str, rest: list[str], params: dict[str, Any], body: Any, show: ResultPrinter
) -> int:
    if len(rest) != 1:
        raise ConfigurationError([f"{method.lower()} takes one path, such as /api/v1/devices"])
    answer = wait_for_budget(lambda: zyra.request(method, rest[0], params=params, body=body))
    rows = isinstance(answer, list) and all(isinstance(row, dict) for row in answer)
    return show.print_many(answer) if rows else show.print_one(answer)


def call_by_name(
    zyra: Zyra, area: str, rest: list[str], params: dict[str, Any], body: Any, out: Path | None, show: ResultPrinter
) -> int:
    route = find_route(zyra.caller.routes, area, rest[0] if rest else "")
    call = calls.make_listed_call(route, tuple(rest[1:]), params, body if route.changes else None)
    if route.answer is Kind.FILE:
        if out is None:
            raise ConfigurationError(["--out FILE is needed: the answer is a file"])
        print_line(f"{wait_for_budget(lambda: run(zyra.caller.save(call, out), zyra.http))} bytes in {out}")
        return 0
    if route.answer is Kind.LIST:
        return show.print_many(list_all(zyra, call))
    missing = [name for name in route.fields if not isinstance(body, dict) or name not in body]
    if missing:
        raise ConfigurationError([f"{route.name} needs {' and '.join(f'--set {name}=...' for name in missing)}"])
    return show.print_one(wait_for_budget(lambda: run(zyra.caller.fetch(call), zyra.http)))


def find_route(routes: Routes, area: str, name: str) -> Route:
    """The route of an area and a call as people type them. Raises ConfigurationError."""
    wanted = f"{area}.{name}".replace("-", "_")
    if wanted in routes:
        return routes[wanted]
    names = [one.name.partition(".")[2] for one in routes.values() if one.area == area.replace("-", "_")]
    if names:
        raise ConfigurationError([f"{area} has the calls {', '.join(names)}"])
    areas = ", ".join(dict.fromkeys(one.area for one in routes.values()))
    raise ConfigurationError([f"there is no area {area!r}: {areas}; or a verb and a path, routes, budget, check"])


def read_body(settings: list[str] | None, data: str) -> Any:
    """The body: of fields, or whole. Raises ConfigurationError."""
    if settings and data:
        raise ConfigurationError(["--set and --data are both given: keep one"])
    if data:
        try:
            return json.loads(Path(data[1:]).read_text() if data.startswith("@") else data)
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"--data: {error}"]) from None
    body: dict[str, Any] = {}
    for setting in settings or []:
        set_field(body, *parse_field(setting))
    return body or None


def show_routes(rest: list[str], show: ResultPrinter) -> int:
    routes = read_settings()[0].api_routes or load_default_routes()
    rows = [
        {"name": route.name, "call": route.call, "limit": route.limit, "certainty": route.certainty}
        for route in routes.values()
    ]
    if show.plain:
        return show.print_many(rows)
    print_table(("CALL", "VERB AND PATH", "LIMIT", "CERTAINTY"), [list(row.values()) for row in rows])
    return 0


def show_budget(rest: list[str], show: ResultPrinter) -> int:
    """What is left of each class, and who waits."""
    with closing(open_client()) as zyra:
        asks = zyra.caller
    if asks.budget is None:
        raise ConfigurationError(["REDIS_URL is not set: the budget stands in the Redis of the workers"])
    key = asks.ring.name
    refused, classes = asks.budget.is_refused(key), asks.budget.list_waiting(key)
    if show.plain:
        for one in classes:
            print_json({"key": asks.ring.shown, "refused": refused, **asdict(one)})
        return 0
    print_line(f"key {asks.ring.shown}" + (", refused by Zyra: replace it" if refused else ""))
    for one in classes:
        who = ", ".join(f"{name} ({count})" for name, count in one.who.items()) or "nobody"
        hold = f", held by Zyra for {one.held:.0f} s" if one.held else ""
        lowered = f", lowered from {one.believed} after a 429, and rising" if one.most < one.believed else ""
        print_line(f"{one.limit}: {one.left} of {one.most} a minute left{lowered}{hold}; waiting: {who}")
    return 0


def check(rest: list[str], show: ResultPrinter) -> int:
    """Compares our route table with an OpenAPI document. Exits with 1 where they differ."""
    config = read_settings()[0]
    where = rest[0] if rest else f"{config.api_url}/openapi.json"
    try:
        differences = list(openapi.compare(config.api_routes or load_default_routes(), openapi.load(where)))
    except ValueError as error:
        raise ConfigurationError([f"{where}: {error}"]) from None
    for difference in differences:
        print_line(difference)
    if not differences:
        print_line(f"no difference: {where}")
    return 1 if differences else 0
