"""What Sentry gets, through its SDK, up to the wire."""

from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk

from receiver.contract import sentry as module
from receiver.contract.errors import ConfigurationError
from receiver.contract.sentry import Sentry, open_sentry

DSN = "https://key@sentry.test/1"


@pytest.fixture
def sent() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def sentry(sent: list[dict[str, Any]]) -> Iterator[Sentry]:
    def keep(event: Any, hint: Any) -> None:
        sent.append(event)

    found = open_sentry("worker", {"SENTRY_DSN": DSN}, before_send=keep)
    assert found
    yield found
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def test_an_error_goes_with_its_tags_and_without_variables(sentry: Sentry, sent: list[dict[str, Any]]) -> None:
    payload = "one-secret-payload"
    try:
        raise ValueError("no disk")
    except ValueError as error:
        sentry.capture(error, event="evt_1", handler="h", attempt=2)
    sentry.flush()

    (event,) = sent
    assert event["exception"]["values"][0]["type"] == "ValueError"
    assert {"event": "evt_1", "handler": "h", "attempt": 2, "role": "worker"}.items() <= event["tags"].items()
    assert payload not in repr(
        event["exception"]["values"][0].get("stacktrace", {}).get("frames", [{}])[-1].get("vars")
    )
    assert "vars" not in event["exception"]["values"][0]["stacktrace"]["frames"][-1]


def test_nothing_is_sent_without_a_dsn() -> None:
    assert open_sentry("worker", {}) is None


def test_a_dsn_that_is_none_and_a_missing_sdk_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="SENTRY_DSN cannot be read"):
        open_sentry("worker", {"SENTRY_DSN": "junk"})
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'zyra-receiver\[sentry\]'"):
        open_sentry("worker", {"SENTRY_DSN": DSN})
