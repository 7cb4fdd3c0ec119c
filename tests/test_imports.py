"""The rules of the layout, read from the imports."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import workers

ROOT = Path(__file__).parent.parent


def imports(path: Path) -> Iterator[str]:
    """Full names of what a file imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            yield module
            yield from (f"{module}.{name.name}" for name in node.names)


def files(folder: str, *, but: str = "-") -> list[Path]:
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if not str(path).startswith(str(ROOT / but))]


def offenders(paths: list[Path], wrong: str, allowed: tuple[str, ...] = ()) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imports(path)
        if (name + ".").startswith(wrong + ".") and not any((name + ".").startswith(ok + ".") for ok in allowed)
    ]


def test_the_receiver_imports_nothing_of_the_workers() -> None:
    assert not offenders(files("receiver"), "workers")


def test_the_contract_imports_nothing_of_the_receiver() -> None:
    assert not offenders(files("receiver/contract"), "receiver", ("receiver.contract",))


def test_workers_import_the_contract_alone() -> None:
    roof = [path for path in files("workers") if "cli" not in path.parts]

    assert not [o for o in offenders(roof, "receiver", ("receiver.contract",)) if not o.endswith(": receiver")]


def test_handlers_use_the_public_door_only() -> None:
    """What `workers` offers by name, each other, and the standard library."""
    public = {"workers", *(f"workers.{name}" for name in workers.__all__)}
    for path in files("workers/handlers"):
        for name in imports(path):
            top = name.partition(".")[0]
            assert name in public or name.startswith("workers.handlers") or top in sys.stdlib_module_names, (path, name)


def test_nothing_below_the_roof_imports_it() -> None:
    assert not offenders(files("workers", but="workers/cli") + files("receiver"), "workers.cli")


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("workers.cli.serve", {"workers.ledger", "workers.worker", "workers.router", "rq", "httpx2"}),
        ("receiver.app", {"workers", "rq", "httpx2"}),
        ("workers", {"workers.ledger", "redis", "rq", "httpx2"}),
        ("workers.worker", {"receiver.app", "receiver.sources", "starlette", "uvicorn"}),
    ],
)
def test_what_a_process_does_not_load(module: str, never: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not never & set(loaded.split())
