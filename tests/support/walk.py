"""A walk over the whole route table: each row with ids and fields that the sandbox accepts."""

import inspect
from pathlib import Path
from typing import Any

from workers.sandbox.state import State, User
from workers.zyra.routes import Kind, Route, load_default_routes

NAMES = {"endpoints": "webhooks.endpoints"}  # where the client calls an area otherwise
IDS = {
    "organizations.remove_member": ["org_0001", "usr_0001"], "endpoints.redeliver": ["whe_1", "del_1"],
    "devices.approve": ["dev_0003"], "virtual_servers.stop": ["vs_0001"], "virtual_servers.start": ["vs_0003"],
    "cost_advisor.dismiss": ["rec_0002"], "ml_jobs.cancel": ["job_0002"], "fine_tuning_jobs.cancel": ["ft_0002"],
}  # fmt: skip
FIRST = {
    "organizations": "org_0001", "devices": "dev_0001", "virtual_servers": "vs_0001", "ml_jobs": "job_0001",
    "inference": "inf_0001", "fine_tuning_jobs": "ft_0001", "endpoints": "whe_1", "invoices": "inv_0001",
    "sla": "rule_0001", "cost_advisor": "rec_0001", "scim_users": "usr_0002",
}  # fmt: skip
LAST = ("remove", "delete", "terminate", "remove_member", "delete_rule")  # what others need is taken away at the end


def prepare(state: State) -> None:
    """Puts what the rows need beside what the sandbox has."""
    state.areas["organizations"]["org_0001"]["members"]["usr_0001"] = {"id": "usr_0001"}
    endpoint = {"id": "whe_1", "url": "https://x", "events": [], "secret": "s", "description": ""}
    state.areas["endpoints"]["whe_1"] = endpoint
    state.deliveries["whe_1"] = {"del_1": {"id": "del_1", "event_type": "a", "body": "{}", "attempts": 1}}
    state.areas["scim_users"]["usr_0002"] = {"id": "usr_0002", "userName": "a", "schemas": []}
    state.areas["ml_jobs"]["job_0002"] = {"id": "job_0002", "status": "running"}
    state.areas["fine_tuning_jobs"]["ft_0002"] = {"id": "ft_0002", "status": "queued"}
    state.areas["virtual_servers"]["vs_0003"]["status"] = "stopped"
    state.users["ops@example.com"] = User("pw", "org_admin")
    state.tokens["refresh-me"] = "ops@example.com", 1e12
    state.tokens["refresh-me-too"] = "ops@example.com", 1e12


def rows() -> list[Route]:
    return sorted(load_default_routes().values(), key=lambda row: row.name.partition(".")[2] in LAST)


def method(client: Any, row: Route) -> Any:
    """The client's method for a row: area.name."""
    area, _, name = row.name.partition(".")
    for part in NAMES.get(area, area).split("."):
        client = getattr(client, part)
    return getattr(client, name)


def choose_ids(row: Route) -> list[str]:
    return IDS.get(row.name) or [FIRST.get(row.area, "")] * len(row.parameters)


def choose_fields(row: Route, token: str) -> dict[str, Any]:
    values = {"email": "ops@example.com", "password": "pw", "refresh_token": token, "role": "org_member",
              "url": "https://x", "events": ["a"], "name": "n", "userName": f"{row.name} {token}", "Operations": []}  # fmt: skip
    return {name: values.get(name, "x") for name in row.fields}


def arguments(row: Route, function: Any, into: Path, token: str) -> tuple[list[Any], dict[str, Any]]:
    ids, fields = choose_ids(row), choose_fields(row, token)
    if row.answer is Kind.FILE:
        return [*ids, into], {}
    named = [name for name in inspect.signature(function).parameters if name in fields]
    if row.name == "scim_users.update":
        return [*ids, [{"op": "replace", "path": "active", "value": False}]], {}
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in inspect.signature(function).parameters.values()):
        return ids, fields if row.changes else {}
    return [*ids, *(fields[name] for name in named)], {}
