"""The sandbox does what its /openapi.json says: asked by schemathesis, which knows nothing of us."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.kit import ROOT
from tests.support.sandbox import KEY, PLENTY, playing
from workers.sandbox.openapi import REFUSALS, make_document
from workers.sandbox.shapes import parse_shape
from workers.zyra.routes import Kind, load_default_routes

TOOL = shutil.which("schemathesis", path=str(ROOT / ".venv-fuzz" / "bin")) or shutil.which("schemathesis")
KNOWN = {  # ids for calls whose things no other call makes, or lists
    "fine_tuning_jobs.cancel": {"id": "ft_0001"},
    "inference.cancel": {"id": "inf_0001"},
    "endpoints.redeliver": {"id": "whe_1", "delivery": "del_1"},
}


@pytest.mark.fuzz
@pytest.mark.timeout(280)
@pytest.mark.skipif(TOOL is None, reason="schemathesis is not installed: make fuzz")
@pytest.mark.parametrize("how", ["", "payload=flat,total=data,errors=stock", "total=top"])
def test_schemathesis_finds_no_mismatch(tmp_path: Path, how: str) -> None:
    (tmp_path / "schemathesis.toml").write_text(config())
    with playing(tmp_path, PLENTY, shape=parse_shape(how)) as sandbox:
        sandbox.state.areas["fine_tuning_jobs"]["ft_0001"]["status"] = "running"
        sandbox.state.endpoints["whe_1"] = {
            "id": "whe_1",
            "url": "http://127.0.0.1:1/",
            "events": [],
            "description": "",
        }
        row = {"id": "del_1", "event_type": "job.failed", "status": "failed", "attempts": 1, "body": "{}"}
        sandbox.state.deliveries["whe_1"] = {"del_1": row}
        sandbox.state.endpoints["whe_1"]["secret"] = "s"
        asked = ["run", f"{sandbox.url}/openapi.json", "--max-examples", "40", "--seed", "1", "--continue-on-failure"]
        found = subprocess.run([str(TOOL), *asked], cwd=tmp_path, capture_output=True, text=True)

        calls = len(sandbox.log())

    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]
    assert "Tested: 67" in found.stdout
    assert calls > 1000


def config() -> str:
    told = [f'headers = {{ Authorization = "Bearer {KEY}" }}']
    told.append('[[operations]]\ninclude-path-regex = "^/scim/"\nheaders = { Authorization = "Bearer scim-demo" }')
    for name, ids in KNOWN.items():
        values = ", ".join(f'"path.{one}" = "{value}"' for one, value in ids.items())
        told.append(f'[[operations]]\ninclude-operation-id = "{name}"\nparameters = {{ {values} }}')
    return "\n".join(told)


def test_every_answer_is_described() -> None:
    for how in ("", "total=data,errors=stock", "total=top"):
        paths = make_document(load_default_routes(), parse_shape(how))["paths"]
        for row in load_default_routes().values():
            answers = paths[row.path][row.method.lower()]["responses"]
            assert set(answers) == {"204" if row.answer is Kind.NOTHING else "200", *map(str, REFUSALS)}
            assert all("content" in one for status, one in answers.items() if status != "204"), row.name
