import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from receiver.contract.errors import ConfigurationError
from workers import plugins
from workers.load_faults import GROUP


def test_every_module_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zr_broken.py").write_text("import nothing_such\n")
    (tmp_path / "zr_exits.py").write_text("raise SystemExit(3)\n")
    (tmp_path / "zr_empty.py").write_text("router = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = ["zr_broken", "zr_exits", "zr_empty", "zr_none", "workers.handlers.log_event"]

    with pytest.raises(ConfigurationError) as caught:
        plugins.load_handlers(names)

    assert [fault.split("'")[1] for fault in caught.value.faults] == names[:4]
    assert [handler.name for handler in plugins.load_handlers(names, keep_going=True)] == [
        "workers.handlers.log_event.log_event"
    ]


def test_installed_plugins_run_when_named_or_by_a_star(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("mine", "workers.handlers.log_event", GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])

    assert plugins.expand(["*", "mine", "other"]) == ["workers.handlers.log_event", "other"]
    assert len(list(plugins.load_handlers(["*"]))) == 1
    assert "workers.handlers.log_event" in sys.modules


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("router = Router()", "zr_wrong.py: its router has no handlers"),
        ("mine = Router()", "has no `router = Router()`: call it `router`, not `mine`"),
        ("router = Router()\nother = Router()\n@other.on('*')\ndef f(event): ...\n@router.on('*')\ndef g(event): ...",
         "the handlers of `other` are not loaded: add router.include(other)"),
        ("router = Router()\n@router.on\ndef f(event): ...", 'zr_wrong.py:3: write @router.on("virtual_server.error")'),
        ("router = Router()\n@router.on('*', retires=3)\ndef f(event): ...", "zr_wrong.py:3: TypeError: "),
        ("router = Router(\n", "zr_wrong.py:2: SyntaxError: '(' was never closed"),
        ("import nothing_such", "zr_wrong.py:2: ModuleNotFoundError: No module named 'nothing_such'"),
        ("def deco(f):\n    return lambda event: f(event)\nrouter = Router()\n@deco\n@router.on('*')\ndef f(event): ...",
         "zr_wrong.py:5: a decorator of f stands above @router.on and would be ignored: write it below"),
        ("import functools\ndef deco(f):\n    @functools.wraps(f)\n    def g(e): return f(e)\n    return g\n"
         "router = Router()\n@deco\n@router.on('*')\ndef f(event): ...", "a decorator of f stands above @router.on"),
    ],
)  # fmt: skip
def test_a_module_that_would_not_do_what_it_says_is_refused(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zr_wrong.py").write_text(f"from workers import Router\n{code}\n")
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("zr_wrong", None)

    _, (fault,) = plugins.load_modules(["zr_wrong"])

    assert message in fault.message


def test_decorators_below_and_two_functions_of_one_name_are_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import functools
from workers import Router
router = Router()
def deco(f):
    @functools.wraps(f)
    def inner(event): return f(event)
    return inner
@router.on("*", name="one")
@deco
def _(event): ...
@router.on("*", name="two")
def _(event): ...
"""
    (tmp_path / "zr_right.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    router, faults = plugins.load_modules(["zr_right"])

    assert (len(list(router)), faults) == (2, [])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("zr_handlrs", "there is no such module; did you mean 'zr_handlers'?"),
        ("zr_handlers.py", "name it without .py, 'zr_handlers'"),
        ("nothing_of_the_sort", "there is no such module in"),
    ],
)
def test_a_misspelt_module_is_named(name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zr_handlers.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    _, (fault,) = plugins.load_modules([name])

    assert hint in fault.message
