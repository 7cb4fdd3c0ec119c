"""What `dev` does when code is saved."""

import os
from pathlib import Path

import pytest

from tests.support.kit import ROOT
from workers.cli import reload
from workers.cli.reload import CodeWatch, Reloader, find_roots


def save(path: Path, text: str) -> None:
    path.write_text(text)
    moment = path.stat().st_mtime_ns + 1
    os.utime(path, ns=(moment, moment))


def test_a_change_is_found_once(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    watch = CodeWatch([tmp_path])

    for name, text in (("a.py", "1"), ("a.py", "2")):
        save(tmp_path / name, text)
        assert watch.find_change() == tmp_path / name
    (tmp_path / "a.py").unlink()
    assert watch.find_change() == tmp_path / "a.py"
    for name in ("notes.txt", ".venv/b.py"):
        save(tmp_path / name, "")
    assert watch.find_change() is None


def test_a_module_is_watched_with_what_stands_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zr_alone.py").touch()
    (tmp_path / "zr_package").mkdir()
    (tmp_path / "zr_package" / "__init__.py").touch()
    (tmp_path / "site-packages").mkdir()
    (tmp_path / "site-packages" / "zr_installed.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site-packages")

    assert find_roots(["zr_alone", "zr_package.inner", "zr_installed", "zr_none"]) == [
        tmp_path,
        tmp_path / "zr_package",
        tmp_path / "site-packages" / "zr_installed.py",
    ]
    assert find_roots(["zr_none"]) == [Path.cwd()]


@pytest.mark.parametrize("loads", [True, False])
def test_only_code_that_loads_replaces_the_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loads: bool
) -> None:
    (tmp_path / "zr_code.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(reload, "load_in_child", lambda env: loads)
    replaced = list[bool]()
    reloader = Reloader({"WORKER_HANDLERS": "zr_code"}, lambda: replaced.append(True))

    reloader.look()
    reloader.look()  # too soon
    save(tmp_path / "zr_code.py", "x = 1")
    reloader._next_look = 0
    reloader.look()

    assert replaced == [True] * loads
    assert ("keeps running the last good code" in capsys.readouterr().err) != loads


def test_a_file_alone_is_watched_and_large_folders_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "MAX_FILES", 3)
    for number in range(5):
        save(tmp_path / f"m{number}.py", "")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nothing")

    assert len(CodeWatch([tmp_path])._stamps) == 3
    assert list(CodeWatch([tmp_path / "m1.py"])._stamps) == [tmp_path / "m1.py"]
    assert CodeWatch([tmp_path / "gone.py"]).find_change() is None
    assert find_roots([".relative"]) == [Path.cwd()]


def test_code_is_loaded_in_a_process_of_its_own(
    env: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "zr_bad.py").write_text("x = 1 +\n")
    more = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}", "NO_COLOR": "1"}

    assert reload.load_in_child(more)
    assert not reload.load_in_child(more | {"WORKER_HANDLERS": "zr_bad"})

    out, err = capfd.readouterr()
    assert out == ""
    assert "error: handler module 'zr_bad': zr_bad.py:1: SyntaxError" in err
