"""What the documents say is so."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

import pytest

from receiver import settings as receiving
from receiver.schemes import load_schemes
from workers import settings as working
from workers.cli.app import COMMANDS

ROOT = Path(__file__).parent.parent
EXTRA = {
    "RECEIVER_CONFIG",
    "ZYRA_WEBHOOK_SECRET",
    "SEAL_KEY",
    "RECEIVER_DATA_DIR",
    "SEAL_KEY_COMMAND",
    "ZYRA_API_KEY",
}


SECRETS = {"SEAL_KEY", "SEAL_KEY_COMMAND", "ZYRA_API_KEY", "ZYRA_API_PASSWORD", "ZYRA_SCIM_TOKEN"}


def named(path: str) -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z_]+)=", (ROOT / path).read_text(), re.MULTILINE))


def read_by(kind: type) -> set[str]:
    return {item.metadata["name"] for item in fields(kind) if "name" in item.metadata}


def recipes() -> set[str]:
    """What shipped handlers, and `post`, read."""
    files = [*(ROOT / "workers" / "handlers").glob("*.py"), ROOT / "workers" / "outgoing.py"]
    pattern = r'(?:require|read_seconds|environ\.get)\("([A-Z_]+)"'
    return {name for file in files for name in re.findall(pattern, file.read_text())}


def test_every_setting_stands_in_the_example_environment_and_is_read() -> None:
    assert named("deploy/receiver.env.example") == read_by(receiving.Settings) | (EXTRA - {"ZYRA_API_KEY"})
    assert named("deploy/worker.env.example") == read_by(working.Settings) | SECRETS | recipes()


def test_every_command_stands_in_the_readme() -> None:
    text = "".join(
        (ROOT / name).read_text() for name in ("README.md", "docs/operating.md", "docs/handlers.md", "docs/api.md")
    )

    assert not [name for name in COMMANDS if f"zyra-receiver {name}" not in text and f"make {name}" not in text]


def test_the_handler_in_the_readme_loads(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "mine.py").write_text(code)

    subprocess.run(
        [sys.executable, "-c", "import mine; assert list(mine.router)"],
        cwd=tmp_path,
        check=True,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )


BLOCKS = [
    pytest.param(code, id=f"{name}-{number}")
    for name in ("handlers", "testing")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{name}.md").read_text(), re.DOTALL), start=1
    )
]


@pytest.mark.parametrize("code", BLOCKS)
def test_code_of_the_guides_loads_and_its_tests_pass(code: str, tmp_path: Path) -> None:
    (tmp_path / "test_block.py").write_text(f"{code}\n\ndef test_it_loads() -> None:\n    assert list(router)\n")

    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_block.py"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert tested.returncode == 0, tested.stdout


@pytest.mark.parametrize(
    "name",
    [
        "docs/handlers.md",
        "docs/operating.md",
        "docs/guarantees.md",
        "docs/performance.md",
        "CHANGELOG.md",
        "LICENSE",
    ],
)
def test_what_the_readme_points_to_is_there(name: str) -> None:
    assert (ROOT / name).exists()
    assert name in (ROOT / "README.md").read_text()


def test_the_readme_counts_the_schemes() -> None:
    counts = Counter(scheme.status for scheme in load_schemes().values())

    text = (ROOT / "README.md").read_text()

    assert f"{counts['confirmed']} schemes are tested against the provider's own pages" in text
    assert f"signature alone of {counts['signature-only']} more. {counts['unconfirmed']} others" in text


def test_every_page_is_named_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text()

    assert not [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in text]
