"""Spans of the receiver, over its endpoint."""

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from receiver.contract.tracing import Tracing
from tests.support.kit import Server, payload, signed, wait_for
from tests.support.receiver import post, sources

TEXT = '[sources.zyra]\nscheme = "zyra"\nsecrets = ["env:ZYRA_WEBHOOK_SECRET"]\n'


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    found, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(found))
    monkeypatch.setattr("receiver.app.open_tracing", lambda role: Tracing(provider))
    return found


def list_spans(exporter: InMemorySpanExporter) -> list[tuple[str, Any, bool]]:
    return [
        (span.name, (span.attributes or {}).get("http.response.status_code"), span.status.is_ok or span.status.is_unset)
        for span in exporter.get_finished_spans()
    ]


def test_deliveries_have_spans_whatever_is_answered(
    env: dict[str, str], tmp_path: Path, exporter: InMemorySpanExporter
) -> None:
    with sources(env, tmp_path, TEXT) as http:
        body = payload()
        headers = signed(body)
        for _ in range(2):
            post(http, body, headers)
        post(http, body, {"x-zyra-signature": "0" * 64})
        post(http, body, headers, "/webhooks/nobody")

    name = "POST /webhooks/{source}"
    assert list_spans(exporter) == [
        ("accept", None, True), (name, 202, True), ("accept", None, True), (name, 202, True),
        (name, 401, True), (name, 404, True),
    ]  # fmt: skip
    assert [dict(span.attributes or {}).get("zr.duplicate") for span in exporter.get_finished_spans() if span.name == name] == [
        False, True, None, None,
    ]  # fmt: skip


def test_a_delivery_that_cannot_be_kept_is_an_error(
    env: dict[str, str], tmp_path: Path, exporter: InMemorySpanExporter, own_server: Server
) -> None:
    with sources({**env, "REDIS_URL": own_server.url}, tmp_path, TEXT) as http:
        body = payload()
        wait_for(lambda: post(http, body, signed(body)).status_code == 202)
        exporter.clear()
        own_server.stop()
        assert post(http, body, signed(body)).status_code == 503

    assert list_spans(exporter) == [("accept", None, False), ("POST /webhooks/{source}", 503, False)]
