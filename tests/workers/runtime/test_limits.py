"""What a worker process may use; each limit is set in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kit import ROOT
from workers.runtime import limits


def said(code: str) -> str:
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return found.stdout.strip()


def test_a_limit_is_set_and_memory_beyond_it_is_refused() -> None:
    code = """
from workers.runtime import limits
print(limits.apply(200 << 20))
try:
    bytes(300 << 20)
except MemoryError:
    print("refused", limits.find_wear(200 << 20) == "")
kept = bytes(130 << 20)
print(limits.find_wear(200 << 20).startswith("it holds 1"), open("/proc/self/oom_score_adj").read().strip())
"""

    assert said(code).split() == [str(200 << 20), "refused", "True", "True", "800"]


def test_a_tighter_limit_stays() -> None:
    code = """
import resource
from workers.runtime import limits
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
print(limits.apply(200 << 20) >> 20, resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20)
print(resource.getrlimit(resource.RLIMIT_CORE))
"""

    assert said(code) == "100 100\n(0, 0)"


def test_our_share_is_most_of_what_there_is() -> None:
    code = "from workers.runtime import limits; print(limits.apply() / limits.count_available_bytes())"

    assert float(said(code)) == pytest.approx(0.75, abs=0.01)


def test_processes_share_it() -> None:
    code = "from workers.runtime import limits; print(limits.apply(0, 4) / limits.count_available_bytes())"

    assert float(said(code)) == pytest.approx(0.1875, abs=0.01)


@pytest.mark.parametrize(("texts", "found"), [(["max", None], 0), (["1048576", None], 1), ([None, "2097152"], 2)])
def test_the_containers_limit_counts_in_both_versions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, texts: list[str | None], found: int
) -> None:
    files = [tmp_path / "v2", tmp_path / "v1"]
    for file, text in zip(files, texts, strict=True):
        if text is not None:
            file.write_text(text + "\n")
    monkeypatch.setattr(limits, "MEMORY_FILES", tuple(map(str, files)))
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert limits.count_available_bytes() == (found << 20 or machine)


def test_no_limit_is_never_worn() -> None:
    assert limits.find_wear(0) == ""
    assert limits.find_wear(1).startswith("it holds")


def test_no_descriptor_left_is_worn() -> None:
    code = """
import os
from workers.runtime import limits
try:
    while True:
        os.dup(2)
except OSError:
    print(limits.find_wear(1 << 40), limits.count_data_bytes())
"""

    assert said(code) == "it has no file descriptor left 0"
