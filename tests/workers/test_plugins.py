import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from receiver.contract.errors import ConfigurationError
from workers import plugins


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
    point = EntryPoint("mine", "workers.handlers.log_event", plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])

    assert plugins.expand(["*", "mine", "other"]) == ["workers.handlers.log_event", "other"]
    assert len(list(plugins.load_handlers(["*"]))) == 1
    assert "workers.handlers.log_event" in sys.modules
