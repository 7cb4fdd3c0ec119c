"""Compares the route table with an OpenAPI document, such as https://app.getzyra.io/openapi.json."""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from receiver.contract.addresses import LOOPBACK_NAMES

from .calls import TOTAL_NAMES, to_mapping
from .models import Endpoint
from .routes import PARAMETER, Kind, Route, Routes, write_change

MAX_DOCUMENT_BYTES = 32 * 1024 * 1024  # of a document
SAME_WORD = 0.7  # likeness of the last words of two paths: jobs and ml-jobs, but not resize and terminate
VERBS = ("get", "post", "put", "patch", "delete")
RESOURCES = ("devices", "virtual_servers", "ml_jobs", "inference", "fine_tuning_jobs", "invoices", "endpoints")
Operations = dict[tuple[str, str], tuple[str, dict[str, Any]]]  # by verb and bare path: the path as written, the rest


def load(where: str) -> dict[str, Any]:
    """The document of a file or a URL. Raises ValueError."""
    parts = urlsplit(where)
    if parts.scheme in ("http", "https"):
        if parts.scheme == "http" and parts.hostname not in LOOPBACK_NAMES:
            raise ValueError("must be https")
        text = fetch(where)
    else:
        try:
            text = Path(where).read_bytes()
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError("is no OpenAPI document: it has no paths")
    return document


def fetch(url: str) -> bytes:
    try:
        with httpx2.stream("GET", url, timeout=20, trust_env=False) as response:
            if response.status_code != 200:
                raise ValueError(f"answered {response.status_code}")
            chunks, size = [], 0
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > MAX_DOCUMENT_BYTES:
                    raise ValueError(f"is larger than {MAX_DOCUMENT_BYTES} bytes")
                chunks.append(chunk)
            return b"".join(chunks)
    except httpx2.HTTPError as error:
        raise ValueError(f"cannot be fetched: {type(error).__name__}") from None


def compare(routes: Routes, document: Mapping[str, Any]) -> Iterator[str]:
    """What differs, a sentence each."""
    operations = list_operations(document)
    for route in routes.values():
        operation = operations.pop((route.method, strip_parameters(route.path)), None)
        if operation is None:
            yield f"{route.name}: {route.call} is not in the specification{hint(route, operations)}"
        else:
            yield from list_details(route, operation[1], document)
    for (verb, _), (path, _) in operations.items():
        yield f"{verb} {path} is in the specification, and not in our table"


def list_operations(document: Mapping[str, Any]) -> Operations:
    operations: Operations = {}
    for path, item in document["paths"].items():
        shared = list_rows(to_mapping(item).get("parameters"))
        for verb, operation in to_mapping(item).items():
            if verb in VERBS:
                own = to_mapping(operation)
                parameters = [*shared, *list_rows(own.get("parameters"))]
                operations[verb.upper(), strip_parameters(path)] = path, {**own, "parameters": parameters}
    return operations


def list_rows(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def strip_parameters(path: str) -> str:
    """A path whose parameters have no names, and which ends without a slash."""
    return PARAMETER.sub("{}", path).rstrip("/")


def hint(route: Route, operations: Operations) -> str:
    others = [verb for verb, path in operations if path == strip_parameters(route.path)]
    if others:
        written = operations[others[0], strip_parameters(route.path)][0]
        return f": there it is {' or '.join(others)}; {write_change(route.name, others[0], written)}"
    same = [path for verb, path in operations if verb == route.method and does_the_same(route, path)]
    near = difflib.get_close_matches(strip_parameters(route.path), same, 1, 0.6)
    if not near:
        return ""
    written = operations[route.method, near[0]][0]
    return f": if that is this one, {write_change(route.name, route.method, written)}"


def does_the_same(route: Route, path: str) -> bool:
    """Whether a path may be another address of the call: with as many ids, and the same last word.

    /servers/{id}/terminate is near to /servers/{id}/resize, and does something else.
    """
    ours = strip_parameters(route.path)
    mine, other = (([""] + [step for step in one.split("/") if step and step != "{}"])[-1] for one in (ours, path))
    is_near = difflib.SequenceMatcher(None, mine, other).ratio() >= SAME_WORD
    return is_near and ours.count("{}") == path.count("{}") and ours.endswith("{}") == path.endswith("{}")


def list_details(route: Route, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    names = [to_mapping(resolve(one, document)).get("name") for one in operation["parameters"]]
    paging = (("startIndex", "count") if route.is_scim else ("offset", "limit")) if route.answer is Kind.LIST else ()
    for name in (*paging, *route.query):
        if name not in names:
            yield f"{route.name}: {route.call} takes no parameter {name!r} in the specification"
    yield from list_answer_details(route, operation, document)
    schema = find_body(operation, document)
    needed = [name for name in list_rows(schema.get("required")) if isinstance(name, str)]
    for name in needed:
        if name not in route.fields:
            yield f"{route.name}: {route.call} needs the field {name!r}, says the specification"
    known = to_mapping(schema.get("properties"))
    for name in route.fields:
        if known and name not in known:
            yield f"{route.name}: {route.call} has no field {name!r} in the specification"


def list_answer_details(route: Route, operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """What an answer of the specification lacks that we rely on."""
    outer = to_mapping(find_answer(operation, document).get("properties"))
    data = to_mapping(resolve(outer.get("data"), document))
    inner = to_mapping(data.get("properties"))
    if route.answer is Kind.LIST:
        meta = to_mapping(to_mapping(resolve(outer.get("meta"), document)).get("properties"))
        if outer and not {*TOTAL_NAMES} & {*outer, *meta, *inner}:
            yield f"{route.name}: the answer tells no 'total' in the specification: read until a page is empty"
        places = [data, *(to_mapping(resolve(one, document)) for one in (inner or outer).values())]
        items = next((resolve(place["items"], document) for place in places if place.get("type") == "array"), None)
        names = to_mapping(to_mapping(items).get("properties"))
    else:
        names = inner or ({} if "data" in outer else outer)
    for wanted in list_wanted(route) if names else ():
        if not {*wanted} & {*names}:
            what = " or ".join(repr(one) for one in wanted)
            yield f"{route.name}: the answer holds no {what} in the specification, but {', '.join(sorted(names)[:12])}"


def list_wanted(route: Route) -> Iterator[tuple[str, ...]]:
    """Fields that we read of an answer, each under any of these names."""
    if route.area in RESOURCES and route.answer in (Kind.ONE, Kind.LIST):
        if route.name.endswith((".get", ".list", ".create", ".submit", ".register")):
            yield route.id
        if route.name.endswith(".get") and route.area != "endpoints":
            yield route.state
    if route.name == "endpoints.create":
        yield Endpoint.SECRET_NAMES


def find_answer(operation: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an answer that says success."""
    for status, answer in sorted(to_mapping(operation.get("responses")).items()):
        content = to_mapping(to_mapping(resolve(answer, document)).get("content"))
        if str(status).startswith("2") and (kind := to_mapping(content.get("application/json"))):
            return to_mapping(resolve(kind.get("schema"), document))
    return {}


def find_body(operation: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    content = to_mapping(to_mapping(resolve(operation.get("requestBody"), document)).get("content"))
    return to_mapping(resolve(to_mapping(content.get("application/json")).get("schema"), document))


def resolve(value: Any, document: Mapping[str, Any]) -> Any:
    """What a reference within the document points to (a few steps of it)."""
    for _ in range(8):
        target = to_mapping(value).get("$ref")
        if not isinstance(target, str) or not target.startswith("#/"):
            return value
        value = document
        for step in target[2:].split("/"):
            value = to_mapping(value).get(step.replace("~1", "/").replace("~0", "~"))
    return None
