"""deploy/restore.sh brings a snapshot into an append-only server, which by itself would start with no keys."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from tests.support.cluster import CLUSTER
from tests.support.kit import ROOT, Server, accept, wait_for
from workers.ledger import query
from workers.ledger.transitions import Ledger

RESTORE = ROOT / "deploy/restore.sh"


@pytest.fixture
def snapshot(own_server: Server, own_ledger: Ledger, seal: Seal, tmp_path: Path) -> tuple[Path, str]:
    """A copy of dump.rdb, and the event that is in it."""
    event = accept(own_ledger, seal, b'{"kept": true}')
    own_ledger.client.save()
    copy = Path(shutil.copy(own_server.folder / "dump.rdb", tmp_path / "copy.rdb"))
    return copy, event


def restore(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", RESTORE, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.mark.skipif(CLUSTER, reason="a single server is enough to read a file")
@pytest.mark.parametrize("restored", [True, False])
def test_a_snapshot_is_read_only_if_it_is_restored(
    snapshot: tuple[Path, str], short_folder: Path, keys: Keys, seal: Seal, restored: bool
) -> None:
    copy, event = snapshot
    if restored:
        ended = restore(copy, short_folder)
        assert ended.returncode == 0, ended.stderr
    else:
        shutil.copy(copy, short_folder / "dump.rdb")
    server = Server(short_folder)
    server.start()

    ledger = Ledger(connect(server.url, keys.tag), keys, seal)
    try:
        found = query.show(ledger, event)
        assert bool(found) is restored, "what docs/operating.md warns of"
        if restored:
            assert query.open_event(ledger, seal, event).content.body == b'{"kept": true}'
            later = accept(ledger, seal)
            wait_for(lambda: ledger.client.info("persistence")["aof_pending_bio_fsync"] == 0)
            server.stop()
            server.start()
            assert query.show(ledger, event)
            assert query.show(ledger, later), "what came after the restore is kept, too"
    finally:
        ledger.client.close()
        server.stop()


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda folder: (folder / "none", folder), "there is no file"),
        (lambda folder: (RESTORE, folder), "is no RDB file"),
        (lambda folder: (RESTORE, folder / "none"), "there is no folder"),
        (lambda folder: (RESTORE,), "usage:"),
    ],
)
def test_wrong_arguments_change_nothing(make: Any, fault: str, tmp_path: Path) -> None:
    ended = restore(*make(tmp_path))

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert fault in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_append_only_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0011")

    ended = restore(tmp_path / "dump.rdb", tmp_path)

    assert ended.returncode == 1
    assert "is there already" in ended.stderr
