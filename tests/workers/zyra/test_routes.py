"""The table drives client, sandbox, command line and docs: every row is in all of them."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.sandbox import KEY, PLENTY, Sandbox, playing
from tests.support.walk import arguments, method, prepare, rows
from workers.sandbox.openapi import make_document
from workers.sandbox.operations import Operations
from workers.sandbox.shapes import Shape
from workers.zyra import AsyncZyra, Zyra
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey
from workers.zyra.openapi import compare
from workers.zyra.routes import Kind, load_default_routes, load_routes


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    with playing(tmp_path, PLENTY) as found:
        prepare(found.state)
        yield found


def used(sandbox: Sandbox) -> list[tuple[str, str]]:
    found = [(str(one["method"]), str(one["path"]), one["status"]) for one in sandbox.log()]
    assert [one for one in found if one[2] not in (200, 204)] == []
    sandbox.state.log.clear()
    return [(verb, path) for verb, path, _ in found]


def caller() -> Caller:
    return Caller(ring=ApiKey(lambda: KEY), scim=ApiKey(lambda: "scim-demo"))


def test_every_row_is_reached_from_the_client_and_answered_by_the_sandbox(sandbox: Sandbox, tmp_path: Path) -> None:
    client = Zyra(sandbox.url, caller=caller())
    for row in rows():
        function = method(client, row)
        ids, fields = arguments(row, function, tmp_path / "file", "refresh-me")
        found = function(*ids, **fields)
        if row.answer is Kind.LIST:
            found = list(found)
        assert used(sandbox) == [(row.method, row.at(*[str(one) for one in ids[: len(row.parameters)]]))], row.name
        assert row.answer is not Kind.FILE or (tmp_path / "file").stat().st_size == found
    client.close()


def test_and_from_the_async_client(sandbox: Sandbox, tmp_path: Path) -> None:
    async def main() -> None:
        client = AsyncZyra(sandbox.url, caller=caller())
        for row in rows():
            function = method(client, row)
            ids, fields = arguments(row, function, tmp_path / "file", "refresh-me-too")
            found = function(*ids, **fields)
            if row.answer is Kind.LIST:
                assert isinstance([one async for one in found], list)
            else:
                await found
            assert len(used(sandbox)) == 1, row.name
        await client.close()

    asyncio.run(main())


def test_the_sandbox_has_no_answer_that_nobody_asks_for() -> None:
    names = {name.replace(".", "__") for name in load_default_routes()}

    for name in dir(Operations):
        assert "__" not in name.strip("_") or name in names, name


def test_the_sandbox_says_so_where_it_has_no_answer(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"devices\.paint"):
        Operations(None, None).find("devices.paint")  # type: ignore[arg-type]


def test_paths_may_be_said_otherwise(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('"devices.approve" = "PUT /api/v2/devices/{id}/approval"\n')

    found = load_routes(tmp_path / "r.toml")

    assert (found["devices.approve"].method, found["devices.approve"].at("a/b")) == (
        "PUT",
        "/api/v2/devices/a%2Fb/approval",
    )
    assert load_routes(None) == dict(load_default_routes())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "cannot be read"), ('"devices.paint" = "GET /x"', "names no call"), ('"devices.get" = 5', "must be a verb"),
        ('"devices.get" = "GET //x/{id}?a"', "must be a verb"), ('"devices.get" = "GET /x"', "must hold"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_other_paths(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "r.toml").write_text(text)

    with pytest.raises(ValueError, match=told):
        load_routes(tmp_path / "r.toml")


def test_ids_are_counted() -> None:
    with pytest.raises(ValueError, match="takes id"):
        load_default_routes()["devices.get"].at()


def test_the_table_agrees_with_the_sandboxs_specification() -> None:
    assert list(compare(load_default_routes(), make_document(load_default_routes(), Shape()))) == []


def test_each_difference_of_a_specification_is_named() -> None:
    spec = make_document(load_default_routes(), Shape())
    paths = spec["paths"]
    del paths["/api/v1/cost-advisor/summary"]
    paths["/api/v1/virtual-servers/{server}/halt"] = paths.pop("/api/v1/virtual-servers/{id}/stop")
    paths["/api/v1/devices/{id}/approve"] = {"put": paths["/api/v1/devices/{id}/approve"]["post"]}
    paths["/api/v1/devices"]["get"]["parameters"] = [{"$ref": "#/components/parameters/limit"}]
    spec["components"]["parameters"] = {"limit": {"name": "limit", "in": "query"}}
    schema = {"type": "object", "required": ["url", "events", "team"], "properties": {"url": {}, "team": {}}}
    spec["components"]["schemas"] = {"E~/n": schema}
    endpoint = paths["/api/v1/webhooks/endpoints"]["post"]
    endpoint["requestBody"] = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/E~0~1n"}}}}

    found = list(compare(load_default_routes(), spec))

    assert found == [
        "devices.list: GET /api/v1/devices takes no parameter 'offset' in the specification",
        "devices.list: GET /api/v1/devices takes no parameter 'status' in the specification",
        "devices.approve: POST /api/v1/devices/{id}/approve is not in the specification: there it is PUT; "
        'in ZYRA_API_ROUTES: "devices.approve" = "PUT /api/v1/devices/{id}/approve"',
        "virtual_servers.stop: POST /api/v1/virtual-servers/{id}/stop is not in the specification",
        "endpoints.create: POST /api/v1/webhooks/endpoints needs the field 'team', says the specification",
        "endpoints.create: POST /api/v1/webhooks/endpoints has no field 'events' in the specification",
        "cost_advisor.summary: GET /api/v1/cost-advisor/summary is not in the specification",
        "PUT /api/v1/devices/{id}/approve is in the specification, and not in our table",
        "POST /api/v1/virtual-servers/{server}/halt is in the specification, and not in our table",
    ]


def describe(schema: dict[str, Any]) -> dict[str, Any]:
    return {"200": {"content": {"application/json": {"schema": {"properties": schema}}}}}


def test_what_an_answer_lacks_is_named() -> None:
    spec = make_document(load_default_routes(), Shape())
    paths = spec["paths"]
    device: dict[str, Any] = {"properties": {"serial": {}, "phase": {}}}
    paths["/api/v1/devices/{id}"]["get"]["responses"] = describe({"data": {"$ref": "#/components/schemas/Odd"}})
    spec["components"]["schemas"] = {**spec["components"].get("schemas", {}), "Odd": device}
    rows: dict[str, Any] = {"data": {"type": "array", "items": {"properties": {"serial": {}}}}}
    paths["/api/v1/virtual-servers"]["get"]["responses"] = describe(rows)
    paths["/api/v1/webhooks/endpoints"]["post"]["responses"] = describe(
        {"data": {"properties": {"id": {}, "hmac": {}}}}
    )
    paths["/api/v1/invoices"]["get"]["responses"] = describe({**rows, "meta": {"properties": {"total": {}}}})

    assert list(compare(load_default_routes(), spec)) == [
        "devices.get: the answer holds no 'id' or 'uuid' or 'device_id' in the specification, but phase, serial",
        "devices.get: the answer holds no 'status' or 'state' in the specification, but phase, serial",
        "virtual_servers.list: the answer tells no 'total' in the specification: read until a page is empty",
        "virtual_servers.list: the answer holds no 'id' or 'uuid' or 'virtual_server_id' or 'server_id' in the "
        "specification, but serial",
        "endpoints.create: the answer holds no 'secret' or 'signing_secret' or 'webhook_secret' or 'secret_key' in the "
        "specification, but hmac, id",
        "invoices.list: the answer holds no 'id' or 'uuid' or 'invoice_id' in the specification, but serial",
    ]


def test_only_what_the_file_accepts_and_does_the_same_is_proposed(tmp_path: Path) -> None:
    spec = make_document(load_default_routes(), Shape())
    paths = spec["paths"]
    paths["/api/v1/virtual-servers/{id}/terminate"] = paths.pop("/api/v1/virtual-servers/{id}/resize")
    paths["/api/v2/vms/{serverId}/stop"] = paths.pop("/api/v1/virtual-servers/{id}/stop")
    paths["/api/v1/ml-jobs"] = paths.pop("/api/v1/ml/jobs")

    proposals = [re.findall(r"in ZYRA_API_ROUTES: (.+)$", line) for line in compare(load_default_routes(), spec)]
    lines = [found[0] for found in proposals if found]
    (tmp_path / "r.toml").write_text("\n".join(lines))

    assert lines == [
        '"virtual_servers.stop" = "POST /api/v2/vms/{serverId}/stop"',
        '"ml_jobs.list" = "GET /api/v1/ml-jobs"',
        '"ml_jobs.submit" = "POST /api/v1/ml-jobs"',
    ]
    assert load_routes(tmp_path / "r.toml")["virtual_servers.stop"].at("x") == "/api/v2/vms/x/stop"


def test_a_specification_that_is_odd_is_read_as_far_as_that_goes() -> None:
    loop = {"$ref": "#/paths/loop"}
    spec = {"paths": {"loop": loop, "/api/v1/devices": {"post": {"requestBody": loop}, "get": 5, "x": 1}}}

    assert len(list(compare(load_default_routes(), spec))) > len(load_default_routes()) - 2
