"""Spans of single parts; tests/workers/test_traces.py follows an event through all processes."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receiver.contract import tracing as module
from receiver.contract.errors import ConfigurationError
from receiver.contract.tracing import Tracing, find_faults, is_wanted, open_tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exporter: InMemorySpanExporter) -> Tracing:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracing(provider)


def test_a_span_continues_the_trace_of_a_header(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    span = tracing.start("a", "server", PARENT, at=10.0, zr__event="evt_1")
    span.end(at=12.0)

    (found,) = exporter.get_finished_spans()
    assert span.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert found.parent
    assert f"{found.parent.span_id:016x}" == "b7ad6b7169203331"
    assert (found.start_time, found.end_time) == (10_000_000_000, 12_000_000_000)
    assert dict(found.attributes or {}) == {"zr.event": "evt_1"}
    assert found.status.is_unset


@pytest.mark.parametrize("parent", ["", "junk", "00-0-0-01", "\ud800"])
def test_a_parent_that_is_none_begins_a_trace(tracing: Tracing, exporter: InMemorySpanExporter, parent: str) -> None:
    tracing.start("a", parent=parent).end()

    assert exporter.get_finished_spans()[0].parent is None


def test_a_link_names_another_trace(tracing: Tracing, exporter: InMemorySpanExporter) -> None:
    tracing.start("a", link=PARENT).end("TimeoutError")
    tracing.start("b", link="junk").end()

    first, second = exporter.get_finished_spans()
    assert [f"{link.context.trace_id:032x}" for link in first.links] == ["0af7651916cd43dd8448eb211c80319c"]
    assert not first.status.is_ok
    assert first.status.description is None
    assert dict(first.attributes or {}) == {"error.type": "TimeoutError"}
    assert second.links == ()


@pytest.mark.parametrize(
    ("env", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
    ],
)
def test_the_standard_variables_switch_it_on(env: dict[str, str], wanted: bool) -> None:
    assert is_wanted(env) is wanted
    if not wanted:
        assert open_tracing("receiver", env) is None


def test_what_we_cannot_do_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"OTEL_TRACES_EXPORTER": "zipkin", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    monkeypatch.setattr(module, "find_spec", lambda name: None)

    assert find_faults(env) == [
        "OTEL_TRACES_EXPORTER must be one of otlp, console, none, not 'zipkin'",
        "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf (port 4318), not 'grpc'",
        "OTEL_* asks for traces, and OpenTelemetry is not installed: pip install 'zyra-receiver[otel]'",
    ]
    with pytest.raises(ConfigurationError):
        open_tracing("receiver", env)


@pytest.mark.parametrize(
    ("env", "name"),
    [
        ({}, "zyra-worker"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=our"}, "our"),
    ],
)
def test_the_service_has_a_name(env: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opentelemetry.trace.set_tracer_provider", lambda provider: None)
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)

    tracing = open_tracing("worker", {"OTEL_TRACES_EXPORTER": "console", **env})

    assert tracing
    assert tracing._provider.resource.attributes["service.name"] == name
    tracing.flush()
    tracing._provider.shutdown()
