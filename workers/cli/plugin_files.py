"""The files of a new package of handlers. <name>, <package> and <requirement> are filled in."""

HANDLER = '''"""Handlers of <name>."""

from workers import GiveUp, Router, VirtualServerEvent, Zyra

router = Router()


@router.on("virtual_server.error")
def stop_server(event: VirtualServerEvent, zyra: Zyra) -> None:
    """Stops a server that stands in error, so that it costs nothing more."""
    if not event.resource_id:
        raise GiveUp("the event names no server")
    if zyra.virtual_servers.get(event.resource_id).state == "error":
        zyra.virtual_servers.stop(event.resource_id)
'''

TEST = """from pathlib import Path

from <package> import stop_server
from workers.testing import check_crashes, make_event, run_handler

BODY = Path(__file__).with_name("virtual_server.error.json").read_bytes()


def test_a_server_in_error_is_stopped() -> None:
    result = run_handler(stop_server, make_event("virtual_server.error", body=BODY))

    assert result.outcome == "done"
    assert result.changes == ["POST /api/v1/virtual-servers/vs_0002/stop"]


def test_a_crash_repeats_no_call() -> None:
    check_crashes(stop_server, make_event("virtual_server.error", body=BODY))
"""

PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "<name>"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["<requirement>"]

[project.entry-points."zyra_receiver.handlers"]
<package> = "<package>"

[dependency-groups]
test = ["pytest>=9"]

[tool.hatch.metadata]
allow-direct-references = true

[tool.hatch.build.targets.wheel]
packages = ["<package>"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
"""

README = """# <name>

Handlers for zyra-receiver: `<package>/__init__.py`.

    python -m pytest                          # no Redis, no network
    WORKER_HANDLERS=<package> zyra-receiver dev

In a second shell, in this folder:

    zyra-receiver send virtual_server.error --body tests/virtual_server.error.json
    zyra-receiver events list

Change the handler and save: `dev` goes on with the new code.

To deploy it, install it beside the receiver, and name it in `WORKER_HANDLERS`:

    FROM zyra-receiver
    USER root
    COPY . /src/<name>
    RUN pip install --no-deps --target /handlers /src/<name>
    USER 10001:10001
"""

FILES = {
    "PACKAGE/__init__.py": HANDLER,
    "PACKAGE/py.typed": "",
    "tests/test_PACKAGE.py": TEST,
    "pyproject.toml": PROJECT,
    "README.md": README,
    ".gitignore": "__pycache__/\n.zyra-receiver/\n.pytest_cache/\ndist/\n",
}  # by path; PACKAGE stands for the package's name
