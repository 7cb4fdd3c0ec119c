import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receiver.contract.tracing import ACTIVE, Tracing
from workers.zyra import calls
from workers.zyra.effects import Send
from workers.zyra.errors import Unreachable
from workers.zyra.transport import make_options, perform


def test_a_call_that_fails_is_an_error_with_its_class_alone() -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    attempt = Tracing(provider).start("attempt h")
    token = ACTIVE.set(attempt)
    step = Send(calls.make_call("GET", "/api/v1/virtual-servers"), {})
    try:
        with httpx2.Client(**make_options("http://127.0.0.1:1")) as http, pytest.raises(Unreachable):
            perform(step, http)
    finally:
        ACTIVE.reset(token)

    (span,) = exporter.get_finished_spans()
    assert (span.name, dict(span.attributes or {})["error.type"]) == ("GET /api/v1/virtual-servers", "Unreachable")
    assert "127.0.0.1" not in str(span.to_json())
