"""Spans for OpenTelemetry where OTEL_* asks for them, with the extra `otel`; else nothing, at no cost.

A span names events, sources, types, handlers and routes. It holds no payload, no header and no message of an error.
"""

import os
from collections.abc import Mapping
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

FLUSH_MS = 3000  # that the end of a process waits for the collector
CHILD_SECONDS = 30.0  # after an event's acceptance within which an attempt is a part of its trace
EXPORTERS = ("otlp", "console", "none")
Attribute = str | int | float | bool


class Span:
    """One span that has begun. `end` is called once."""

    def __init__(self, tracing: "Tracing", span: Any) -> None:
        self.tracing = tracing
        self._span = span

    @property
    def traceparent(self) -> str:
        """As a header holds it: https://www.w3.org/TR/trace-context/#traceparent-header"""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, **attributes: Attribute) -> None:
        self._span.set_attributes({name.replace("__", "."): value for name, value in attributes.items()})

    def enter(self) -> None:
        """Makes it the parent of what starts in this context from now on, a handler's own spans too."""
        from opentelemetry import context, trace

        ACTIVE.set(self)
        context.attach(trace.set_span_in_context(self._span))

    def end(self, error: str = "", at: float | None = None) -> None:
        """error: the class of an exception, or a word for what went wrong. at: seconds since 1970."""
        if error:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR)
            self._span.set_attribute("error.type", error)
        self._span.end(None if at is None else int(at * 1e9))


ACTIVE: ContextVar[Span | None] = ContextVar("zyra-receiver span", default=None)


class Tracing:
    """Of one process."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("zyra-receiver")

    def start(
        self,
        name: str,
        kind: str = "internal",
        parent: "str | Span" = "",
        link: str = "",
        at: float | None = None,
        **attributes: Attribute,
    ) -> Span:
        """kind: server, consumer, client or internal. parent, link: a span, or a traceparent. at: seconds since 1970.

        Two underscores in an attribute's name are a dot.
        """
        from opentelemetry import context, trace

        above: Any = context.Context()  # never what happens to be active
        if isinstance(parent, Span):
            above = trace.set_span_in_context(parent._span)
        elif parent:
            above = extract(parent)
        linked = trace.get_current_span(extract(link)).get_span_context() if link else None
        links = [trace.Link(linked)] if linked and linked.is_valid else []
        span = self._tracer.start_span(
            name,
            above,
            trace.SpanKind[kind.upper()],
            links=links,
            start_time=None if at is None else int(at * 1e9),
        )
        started = Span(self, span)
        started.set(**attributes)
        return started

    def flush(self) -> None:
        self._provider.force_flush(FLUSH_MS)


def extract(traceparent: str) -> Any:
    """The context that a traceparent names; an empty one where it is none."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def is_wanted(env: Mapping[str, str]) -> bool:
    """Whether OTEL_* asks for spans."""
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    names = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return any(env.get(name) for name in names)


def find_faults(env: Mapping[str, str]) -> list[str]:
    """What keeps wanted spans from being sent."""
    if not is_wanted(env):
        return []
    faults = []
    exporter = env.get("OTEL_TRACES_EXPORTER", "otlp")
    protocol = env.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if exporter not in EXPORTERS:
        faults.append(f"OTEL_TRACES_EXPORTER must be one of {', '.join(EXPORTERS)}, not {exporter!r}")
    if protocol != "http/protobuf":
        faults.append(f"OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf (port 4318), not {protocol!r}")
    if not find_spec("opentelemetry") or not find_spec("opentelemetry.sdk"):
        faults.append("OTEL_* asks for traces, and OpenTelemetry is not installed: pip install 'zyra-receiver[otel]'")
    return faults


def open_tracing(role: str, env: Mapping[str, str] = os.environ) -> Tracing | None:
    """The tracing of this process, or None where it is not asked for. In a process that was forked, after the fork.

    role: receiver or worker, for the name of the service, unless OTEL_SERVICE_NAME has one. Raises ConfigurationError.
    """
    if faults := find_faults(env):
        raise ConfigurationError(faults)
    if not is_wanted(env):
        return None
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    has_name = "OTEL_SERVICE_NAME" in env or "service.name" in env.get("OTEL_RESOURCE_ATTRIBUTES", "")
    provider = TracerProvider(resource=Resource.create({} if has_name else {"service.name": f"zyra-{role}"}))
    exporter = ConsoleSpanExporter() if env.get("OTEL_TRACES_EXPORTER") == "console" else OTLPSpanExporter()
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)  # for spans of a handler's own
    return Tracing(provider)
