"""How the command line begins."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.support.kit import Tool
from workers.cli import find_hiding_package


def test_the_version_is_that_of_the_package(tool: Tool) -> None:
    assert tool("--version") == (0, f"{metadata.version('zyra-receiver')}\n", "")


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("evnts", "there is no command 'evnts'; did you mean 'events'?"),
        ("zzz", "there is no command 'zzz'"),
        ("-q", "No such option: -q"),
    ],
)
def test_a_mistyped_command_is_told_with_the_one_that_was_meant(tool: Tool, typed: str, error: str) -> None:
    assert tool(typed) == (2, "", f"error: {error}\n")


def test_a_package_that_hides_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "receiver").mkdir()
    (tmp_path / "receiver" / "__init__.py").touch()
    code = "from workers.cli import main; main(['--version'])"

    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert found.returncode == 1
    assert found.stderr.startswith(f"error: {tmp_path}/receiver/__init__.py hides our package `receiver`: rename it")
    assert find_hiding_package("receiver") == ""
