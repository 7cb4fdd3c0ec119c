from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from receiver import settings
from receiver.app import create_app


@pytest.fixture
def http(env: dict[str, str]) -> Iterator[TestClient]:
    with TestClient(create_app(settings.read(env), CollectorRegistry()), follow_redirects=False) as found:
        yield found
