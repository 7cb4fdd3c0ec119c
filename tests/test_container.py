"""The image's and the compose file's linters. Building needs an engine, which this suite does not assume."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.container


def test_the_dockerfile_is_clean() -> None:
    found = subprocess.run([BIN / "hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_the_compose_file_follows_its_schema() -> None:
    command = [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "deploy/compose.yaml"]
    found = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr


def test_the_image_gets_only_what_it_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()

    assert ignored[0] == "*"
    assert {line[1:] for line in ignored[1:] if line.startswith("!")} == {
        "requirements.txt", "requirements-build.txt", "pyproject.toml", "README.md", "LICENSE", "receiver", "workers",
    }  # fmt: skip
