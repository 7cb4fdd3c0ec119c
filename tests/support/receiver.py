"""A receiver in a process of its own, or within the test's."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from receiver import settings
from receiver.app import create_app
from receiver.delivery import Delivery
from receiver.signatures.verify import Key, prove
from receiver.source_keys import SourceKeys
from receiver.sources import Accepted, Source

from .kit import free_port, running, signed, wait_for


@contextlib.contextmanager
def serving(**env: str) -> Iterator[httpx2.Client]:
    port = free_port()
    with running("workers.cli", "serve", env={"PORT": str(port), **env}) as process:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=15) as http:
            wait_for(lambda: process.poll() is not None or up(http))
            yield http


def sources(env: dict[str, str], tmp_path: Path, text: str, registry: CollectorRegistry | None = None) -> TestClient:
    (tmp_path / "c.toml").write_text(text)
    found = settings.read(env | {"RECEIVER_CONFIG": str(tmp_path / "c.toml"), "S": "test-secret"})
    return TestClient(create_app(found, registry or CollectorRegistry()), follow_redirects=False)


def up(http: httpx2.Client) -> bool:
    try:
        return http.get("/livez").status_code == 200
    except httpx2.HTTPError:
        return False


def post(http: Any, body: bytes, headers: dict[str, str] | None = None, path: str = "/webhooks/zyra") -> Any:
    return http.post(path, content=body, headers=signed(body) if headers is None else headers)


def accept_delivery(source: Source, delivery: Delivery, now: float, keys: Sequence[Key] = ()) -> Accepted:
    """What the receiver makes of a delivery. keys: instead of the source's own. Raises BadSignature."""
    known = keys or SourceKeys(source.name, source.scheme, source.secrets).get()
    return source.accept(prove(source.scheme, delivery, known, now), now)
