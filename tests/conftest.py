"""A real server for every test process, a fresh queue for every test.

CLUSTER=1 runs the same tests on a cluster: three nodes for all tests, one for a test that stops its server.
"""

import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from receiver.contract.connection import connect
from receiver.contract.keys import Keys
from receiver.contract.seal import Seal
from receiver.contract.secrets import Secret
from workers.ledger.transitions import Ledger

from .support.cluster import CLUSTER, Cluster
from .support.kit import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server | Cluster]:
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as folder:
        found = Cluster(Path(folder)) if CLUSTER else Server(Path(folder))
        found.start()
        yield found
        found.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server | Cluster]:
    """A server that the test may stop, fill or kill."""
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as folder:
        found = Cluster(Path(folder), primaries=1) if CLUSTER else Server(Path(folder))
        found.start()
        yield found
        found.stop()


@pytest.fixture
def client(server: Server, keys: Keys) -> Iterator[redis.Redis]:
    found = connect(server.url, keys.tag)
    yield found
    found.close()


@pytest.fixture
def keys() -> Keys:
    return Keys("t" + secrets.token_hex(6))


@pytest.fixture
def ledger(client: redis.Redis, keys: Keys, seal: Seal) -> Ledger:
    return Ledger(client, keys, seal)


@pytest.fixture
def own_ledger(own_server: Server, keys: Keys, seal: Seal) -> Iterator[Ledger]:
    """In the server that the test may stop; its client is closed, else its socket would warn in some later test."""
    found = Ledger(connect(own_server.url, keys.tag), keys, seal)
    yield found
    found.client.close()


@pytest.fixture(scope="session")
def seal_key() -> str:
    return secrets.token_hex(32)


@pytest.fixture
def seal(seal_key: str, keys: Keys) -> Seal:
    return Seal(Secret("SEAL_KEY", seal_key, None), keys.queue)


@pytest.fixture
def env(server: Server, keys: Keys, seal_key: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of our processes, also set in this one."""
    found = {
        "REDIS_URL": server.url,
        "QUEUE": keys.queue,
        "SEAL_KEY": seal_key,
        "ZYRA_WEBHOOK_SECRET": "test-secret",
        "METRICS_PORT": "0",
        "DRAIN_SECONDS": "0",
        "WORKER_HANDLERS": "tests.plugins.basic",
        "RECEIVER_DATA_DIR": "/nonexistent",
        "ZYRA_API_URL": "http://127.0.0.1:1",
        "ZYRA_API_KEY": "zyra_sk_test",
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder for a server: the path of its socket may have no more than about 100 characters."""
    with tempfile.TemporaryDirectory(prefix="zr-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
