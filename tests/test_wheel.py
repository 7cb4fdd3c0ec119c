"""What `make wheel` packs."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]


def test_a_wheel_holds_our_packages_with_their_data_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]

    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)], check=True)

    (wheel,) = tmp_path.glob("zyra_receiver-*.whl")
    names = set(ZipFile(wheel).namelist())
    tracked = subprocess.run(["git", "ls-files", "receiver", "workers"], cwd=ROOT, capture_output=True, text=True)
    assert {name for name in names if ".dist-info/" not in name} == set(tracked.stdout.split())
    assert {"receiver/py.typed", "workers/py.typed", "receiver/accept.lua", "workers/ledger/scripts/take.lua"} <= names
