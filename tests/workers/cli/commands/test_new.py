"""A new package of handlers."""

import subprocess
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import pytest

from tests.support.kit import ROOT, Tool
from workers.cli.commands import new


def test_its_own_test_passes_at_once(tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    code, out, _ = tool("new", "my-handlers")

    assert (code, out) == (
        0, "made my-handlers: see my-handlers/README.md. Its test: cd my-handlers && python -m pytest\n",
    )  # fmt: skip
    folder = tmp_path / "my-handlers"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=folder, env={"PATH": "", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 passed" in tested.stdout, tested.stdout
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["zyra_receiver.handlers"] == {"my_handlers": "my_handlers"}
    assert project["dependencies"][0].startswith("zyra-receiver")
    written = [path for path in folder.rglob("*") if path.suffix in (".py", ".toml", ".md", ".json")]
    assert not [path for path in written if "<" in path.read_text()]
    typed = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "my_handlers"],
        cwd=folder, env={"PATH": "", "PYTHONPATH": "", "MYPYPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert typed.returncode == 0, typed.stdout


@pytest.mark.parametrize("name", ["json", "My Handlers", "1st", "class", "workers", "there"])
def test_a_name_that_cannot_be_is_refused(
    tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    code, _, err = tool("new", name)

    assert code == 2
    assert name in err
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "zyra-receiver>=0.2.0"),
        ('{"url": "file:///src/x", "dir_info": {"editable": true}}', "zyra-receiver @ file:///src/x"),
        (
            '{"url": "https://git.example.com/x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "zyra-receiver @ git+https://git.example.com/x@abc",
        ),
    ],
)
def test_it_asks_for_this_release_as_it_was_installed(
    monkeypatch: pytest.MonkeyPatch, origin: str | None, requirement: str
) -> None:
    class Installed(Distribution):
        version = "0.2.0"

        def read_text(self, filename: str) -> str | None:
            return origin

        def locate_file(self, path: object) -> Path:
            return Path()

    monkeypatch.setattr(new, "distribution", lambda name: Installed())

    assert new.find_requirement() == requirement


def test_it_may_run_where_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Distribution:
        raise PackageNotFoundError

    monkeypatch.setattr(new, "distribution", find)

    assert new.find_requirement() == "zyra-receiver"
