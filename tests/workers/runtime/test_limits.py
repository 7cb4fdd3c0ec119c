"""What a worker process may use; each limit is set in a process of its own."""

import subprocess
import sys

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
