"""Every call of the route table against a Zyra with other addresses, other nesting and other names."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver.contract.seal import Seal
from tests.support.kit import Tool, accept, running, wait_for
from tests.support.sandbox import KEY, PLENTY, Sandbox, playing
from tests.support.walk import arguments, choose_fields, choose_ids, method, prepare, rows
from workers.ledger.transitions import Ledger
from workers.zyra import Zyra
from workers.zyra.caller import Caller
from workers.zyra.credentials import ApiKey
from workers.zyra.errors import Redirected
from workers.zyra.models import Row
from workers.zyra.routes import Kind, load_routes

STATES = "".join(f'{area} = {{state = ["phase"]}}\n' for area in ("devices", "virtual_servers", "ml_jobs"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Sandbox]:
    (tmp_path / "zyra").mkdir()
    with playing(tmp_path / "zyra", PLENTY, disguise="elsewhere") as sandbox:
        prepare(sandbox.state)
        yield sandbox


@pytest.fixture
def routes(elsewhere: Sandbox, tmp_path: Path) -> Path:
    """What the redirects advise to set, call by call, and what the fields are called."""
    zyra = Zyra(elsewhere.url, caller=Caller(ring=ApiKey(lambda: KEY), scim=ApiKey(lambda: "scim-demo")))
    lines = []
    for row in rows():
        function = method(zyra, row)
        ids, fields = arguments(row, function, tmp_path / "file", "refresh-me")
        if row.answer is Kind.REDIRECT:
            lines.append(f'"{row.name}" = "GET {function(*ids, **fields)["location"]}"')
            continue
        with pytest.raises(Redirected) as caught:
            list(function(*ids, **fields)) if row.answer is Kind.LIST else function(*ids, **fields)
        (line,) = re.findall(r"in ZYRA_API_ROUTES: (.+)$", caught.value.advice)
        lines.append(line)
    zyra.close()
    path = tmp_path / "routes.toml"
    path.write_text("\n".join(lines) + "\n" + STATES)
    return path


@pytest.fixture
def settings(elsewhere: Sandbox, routes: Path, tmp_path: Path, env: dict[str, str]) -> dict[str, str]:
    return env | {
        "ZYRA_API_URL": elsewhere.url,
        "ZYRA_API_KEY": KEY,
        "ZYRA_SCIM_TOKEN": "scim-demo",
        "ZYRA_API_ROUTES": str(routes),
        "ZYRA_API_LIMITS": "create=1000,read=1000,bulk=1000",
        "WORKER_HANDLERS": "tests.plugins.walkers",
        "WALK": str(tmp_path / "walk"),
    }


def test_each_call_works_from_the_command_line(
    tool: Tool, settings: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    failed = {}
    for row in rows():
        data = ["--data", json.dumps(choose_fields(row, "refresh-me"))] if row.fields else []
        out = ["--out", str(tmp_path / "file")] if row.answer is Kind.FILE else []
        code, _, error = tool(
            "api", row.area.replace("_", "-"), row.name.partition(".")[2], *choose_ids(row), *data, *out
        )
        if code:
            failed[row.name] = error

    assert failed == {}


@pytest.mark.parametrize("kind", ["walk.blocking", "walk.async"])
def test_each_call_works_in_a_handler(
    settings: dict[str, str], tmp_path: Path, ledger: Ledger, seal: Seal, kind: str
) -> None:
    accept(ledger, seal, kind=kind)
    path = tmp_path / "walk"
    with running("workers.cli", "work", env=settings):
        wait_for(lambda: path.exists() and len(path.read_text().splitlines()) == len(rows()), 30)

    outcomes = dict(line.split("\t", 1) for line in path.read_text().splitlines())
    errors = {name: text for name, text in outcomes.items() if not re.match(r"[A-Z]\w+\t\{|list\t|int\t", text)}
    assert errors == {}
    assert "'status': 'running'" in outcomes["virtual_servers.get"]
    assert "'id': 'vs_0001'" in outcomes["virtual_servers.list"]


def test_what_is_found_has_an_id_and_a_state(elsewhere: Sandbox, routes: Path) -> None:
    with_routes = Caller(ring=ApiKey(lambda: KEY), routes=load_routes(routes))
    zyra = Zyra(elsewhere.url, caller=with_routes)
    made, listed = zyra.virtual_servers.create(name="web"), list(zyra.virtual_servers.list())
    zyra.close()

    assert {made.id} < {one.id for one in listed}
    assert {one.state for one in listed} <= {"running", "stopped", "starting", "error"}
    assert all(isinstance(one, Row) and "server_id" in one and "phase" in one for one in listed)
