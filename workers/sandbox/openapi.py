"""The sandbox's own OpenAPI document, at /openapi.json: the route table, with its bodies and resources."""

from typing import Any

import msgspec

from ..zyra.routes import Kind, Route, Routes
from .calls import FILTER, MAX_NUMBER
from .request_bodies import BODY_TYPES, Anything, find_body_type
from .resources import ANSWER_TYPES, find_answer_type
from .shapes import Shape

WHERE = "#/components/schemas/{name}"
OPEN = ("auth.login", "auth.refresh", "auth.reset_password", "auth.sso", "sso.metadata")  # without a key
REFUSALS = {
    401: "the key is missing or revoked",
    403: "the role is too low",
    404: "there is none",
    409: "its state forbids it",
    422: "the fields are wrong",
    429: "the limit is reached",
}
FILES = {
    "invoices.pdf": "application/pdf",
    "audit_log.export": "application/x-ndjson",
    "sso.metadata": "application/samlmetadata+xml",
}
TEXT: dict[str, Any] = {"type": "string"}


def make_document(routes: Routes, shape: Shape) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes.values():
        paths.setdefault(route.path, {})[route.method.lower()] = make_operation(route, shape)
    kinds = dict.fromkeys([*BODY_TYPES.values(), *ANSWER_TYPES.values(), Anything])
    _, schemas = msgspec.json.schema_components(kinds, ref_template=WHERE)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zyra, played by the sandbox", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {name: {"type": "http", "scheme": "bearer"} for name in ("key", "scim")},
        },
    }


def make_operation(route: Route, shape: Shape) -> dict[str, Any]:
    done = "204" if route.answer is Kind.NOTHING else "200"
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.area],
        "security": [] if route.name in OPEN else [{"scim" if route.is_scim else "key": []}],
        "parameters": [*make_parameters(route)],
        "responses": {
            done: {"description": "done", **make_content(route, shape)},
            **{
                str(status): {"description": REFUSALS[status], **wrap_json(body)}
                for status, body in list_refusals(route, shape)
            },
        },
    }
    if route.changes and route.method != "DELETE":
        operation["requestBody"] = {
            "required": bool(route.fields),
            **wrap_json(make_reference(find_body_type(route.name))),
        }
    return operation


def make_parameters(route: Route) -> list[dict[str, Any]]:
    whole = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
    parameters = [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in route.parameters]
    if route.answer is Kind.LIST:
        paging = ("startIndex", "count") if route.is_scim else ("offset", "limit")
        parameters += [{"name": name, "in": "query", "schema": whole} for name in paging]
    wants = {"filter": TEXT | {"pattern": f"^{FILTER}$"}}
    return [*parameters, *({"name": name, "in": "query", "schema": wants.get(name, TEXT)} for name in route.query)]


def make_content(route: Route, shape: Shape) -> dict[str, Any]:
    """What is answered if all is well."""
    row = make_reference(find_answer_type(route.name))
    if route.answer is Kind.NOTHING:
        return {}
    if route.answer is Kind.FILE:
        return {"content": {FILES[route.name]: {"schema": {}}}}
    if route.is_scim:
        return wrap_json(
            make_object(Resources=make_array(row), totalResults={"type": "integer"})
            if route.answer is Kind.LIST
            else row
        )
    meta, total = {"request_id": TEXT, "timestamp": TEXT}, {"type": "integer", "minimum": 0}
    properties = {"success": {"const": True}}
    if route.answer is not Kind.LIST:
        return wrap_json(make_object(**properties, data=row, meta=make_object(**meta)))
    if shape.total == "top":
        return wrap_json(make_object(**properties, data=make_array(row), total=total, meta=make_object(**meta)))
    if shape.total == "data":
        return wrap_json(
            make_object(**properties, data=make_object(items=make_array(row), total=total), meta=make_object(**meta))
        )
    return wrap_json(make_object(**properties, data=make_array(row), meta=make_object(**meta, total=total)))


def list_refusals(route: Route, shape: Shape) -> list[tuple[int, dict[str, Any]]]:
    block = make_object(code=TEXT, message=TEXT, details={}, request_id=TEXT)
    usual = make_object(success={"const": False}, error=block)
    if route.is_scim:
        usual = make_object(schemas=make_array(TEXT), status=TEXT, detail=TEXT)
    bodies = dict.fromkeys(REFUSALS, usual) | {429: make_object(error=TEXT)}
    if shape.errors == "stock" and not route.is_scim:
        bodies[422] = make_object(detail=make_array(make_object(loc=make_array({}), msg=TEXT, type=TEXT)))
    return list(bodies.items())


def make_reference(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$ref": WHERE.format(name=kind.__name__)}


def make_object(**properties: Any) -> dict[str, Any]:
    """An object that has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def make_array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def wrap_json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
