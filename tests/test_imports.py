"""The rules of the layout, read from the imports."""

import ast
import re
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


def unit(name: str) -> str:
    """A room is a folder below a package; a module beside the rooms is a unit of its own."""
    path = MODULES[name].relative_to(ROOT).parts
    return ".".join(path[:-1]) if len(path) > 2 else name


def modules() -> dict[str, Path]:
    paths = files("receiver") + files("workers")
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def arrows() -> dict[str, set[str]]:
    """By module: the modules that it imports, wherever in it."""
    return {name: {found for found in imports(path) if found in MODULES} - {name} for name, path in MODULES.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """What can be reached from itself."""
    reached = {name: set(found) for name, found in graph.items()}
    for middle in graph:
        for name, found in reached.items():
            if middle in found:
                reached[name] = found | reached[middle]
    return sorted(name for name, found in reached.items() if name in found)


MODULES = modules()
PACKAGES = sorted(name for name, path in MODULES.items() if path.name == "__init__.py")
OPEN_LISTS = {
    "workers.handlers",
    "workers.cli.commands",
    "receiver.schemes",
    "workers.ledger.scripts",
}  # data, or as they are typed


def test_no_module_imports_itself_around_a_corner() -> None:
    lazy = {"workers", "workers.zyra"}  # they name what they offer, and import it when it is asked for
    graph = {name: found - lazy for name, found in arrows().items() if name not in lazy}

    assert circles(graph) == []


def test_no_room_imports_a_room_that_imports_it() -> None:
    graph: dict[str, set[str]] = {}
    for name, found in arrows().items():
        if name not in ("workers", "receiver"):
            graph.setdefault(unit(name), set()).update(unit(one) for one in found if unit(one) != unit(name))

    assert circles({name: found - {"workers", "receiver"} for name, found in graph.items()}) == []


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in OPEN_LISTS])
def test_a_package_lists_its_modules(package: str) -> None:
    text = ast.get_docstring(ast.parse(MODULES[package].read_text())) or ""
    mine = {name.removeprefix(f"{package}.").partition(".")[0] for name in MODULES if name.startswith(f"{package}.")}

    missing = {name for name in mine - {"__main__"} if not re.search(rf"(^|`){name}\b", text, re.M)}
    assert missing == set()


@pytest.mark.parametrize(
    ("module", "never"),
    [
        (
            "workers.cli.commands.serve",
            {"workers.ledger.transitions", "workers.worker", "workers.router", "rq", "httpx2"},
        ),
        ("receiver.app", {"workers", "rq", "httpx2"}),
        ("workers", {"workers.ledger.transitions", "redis", "rq", "httpx2"}),
        ("workers.worker", {"receiver.app", "receiver.sources", "starlette", "uvicorn"}),
    ],
)
def test_what_a_process_does_not_load(module: str, never: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not never & set(loaded.split())
