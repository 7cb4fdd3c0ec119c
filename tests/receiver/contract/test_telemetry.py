"""A configuration of traces or error reports that cannot work ends a command before it starts any process."""

import pytest

from receiver.contract.errors import ConfigurationError
from receiver.contract.telemetry import refuse_faults
from tests.support.kit import run


@pytest.mark.parametrize("command", [["serve"], ["work"], ["check"], ["check", "--role", "worker"]])
@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be http/protobuf"), ("SENTRY_DSN", "junk", "cannot be read")],
)
def test_what_cannot_work_is_named_and_ends_with_2(
    env: dict[str, str], command: list[str], name: str, value: str, fault: str
) -> None:
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "WEB_CONCURRENCY": "2", name: value}

    found = run("workers.cli", *command, env=more)

    assert found.returncode == 2
    assert f"{name} {fault}" in found.stderr
    assert "Traceback" not in found.stderr


def test_all_faults_are_named_at_once() -> None:
    env = {"OTEL_TRACES_EXPORTER": "zipkin", "SENTRY_DSN": "junk"}

    with pytest.raises(ConfigurationError) as refused:
        refuse_faults(env)
    assert [fault.split()[0] for fault in refused.value.faults] == ["OTEL_TRACES_EXPORTER", "SENTRY_DSN"]
    refuse_faults({})
