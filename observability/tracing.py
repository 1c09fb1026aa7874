"""OpenTelemetry: whether and where spans go, and the trace context that a container gets."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
)
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# Without a collector, the last export may hold up the drain for this long (seconds).
_EXPORT_TIMEOUT = "3"
_TRACE_CONTEXT = TraceContextTextMapPropagator()


def configure_tracing(service: str, version: str, instance: str) -> TracerProvider:
    """The provider of every span of this process; it exports where `OTEL_*` ask for it.

    The variables have to be checked before: see `observability.otel_env`.
    """
    provider = TracerProvider(resource=_resource(service, version, instance))
    if exporter := _exporter():
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def _resource(service: str, version: str, instance: str) -> Resource:
    ours = {"service.version": version, "service.instance.id": instance}
    found = Resource.create(ours)
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        return found.merge(Resource({"service.name": service}))
    return found


def _exporter() -> SpanExporter | None:
    """OTLP is the specification's default, but without an endpoint nobody has asked for it."""
    kind = os.environ.get("OTEL_TRACES_EXPORTER", "").strip()
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or kind == "none":
        return None
    if kind == "console":
        return ConsoleSpanExporter()
    if not kind and not any(os.environ.get(name) for name in _ENDPOINTS):
        return None
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", _EXPORT_TIMEOUT)
    # Imported where they are needed: they are a fifth of the start otherwise.
    if _protocol() == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter as OverHttp,
        )

        return OverHttp()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _protocol() -> str | None:
    names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def trace_environment() -> Mapping[str, str]:
    """The current trace context as environment variables, for a container to continue.

    Source: OpenTelemetry, "Environment Variables as Context Propagation Carriers".
    """
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return {key.upper(): value for key, value in carrier.items()}


def shut_down(provider: TracerProvider, *, within: float) -> None:
    """Send the last spans, for `within` seconds at most: a collector may hang."""
    flushing = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
    flushing.start()
    flushing.join(within)


def annotate(attributes: Mapping[str, str | int | float | bool]) -> None:
    """Put attributes on the current span."""
    trace.get_current_span().set_attributes(attributes)


def fail_span(span: Span, error_type: str, message: str = "") -> None:
    """Mark a span as an error. The message must be free of secrets."""
    span.set_status(StatusCode.ERROR, message)
    span.set_attribute("error.type", error_type)


@contextmanager
def client_span(name: str, attributes: Mapping[str, str]) -> Iterator[Span]:
    """A child span for a call to another system; no span where there is no trace to belong to.

    Exceptions are left to the caller: what they say may not be fit for a trace.
    """
    parent = trace.get_current_span()
    if not parent.get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    tracer = trace.get_tracer("supervisor")
    with tracer.start_as_current_span(
        name,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span
