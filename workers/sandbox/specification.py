"""The sandbox's own OpenAPI document, at /openapi.json."""

from typing import Any

from ..zyra.routes import Kind, Route, Routes


def document(routes: Routes) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes.values():
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Zyra, played by the sandbox", "version": "1"},
        "paths": paths,
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
    }


def operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.parameters
    ]
    paging = (("startIndex", "count") if route.is_scim else ("offset", "limit")) if route.answer is Kind.LIST else ()
    parameters += [{"name": name, "in": "query", "schema": {"type": "integer", "minimum": 0}} for name in paging]
    parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.query]
    found: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.area],
        "parameters": parameters,
        "responses": {
            "204" if route.answer is Kind.NOTHING else "200": {"description": "done"},
            **{str(status): {"description": text} for status, text in ERRORS.items()},
        },
    }
    if route.changes and route.method != "DELETE":
        schema = {"type": "object", "required": list(route.fields)} if route.fields else {"type": "object"}
        found["requestBody"] = {
            "required": bool(route.fields),
            "content": {"application/json": {"schema": schema}},
        }
    return found


ERRORS = {
    401: "the key is missing or revoked",
    403: "the role is too low",
    404: "there is none",
    409: "its state forbids it",
    422: "the fields are wrong",
    429: "the limit is reached",
}
