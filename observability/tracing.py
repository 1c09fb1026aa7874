"""OpenTelemetry: whether and where spans go."""

import os
import threading

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
# Without a collector, the last export may hold up the drain for this long (seconds).
_EXPORT_TIMEOUT = "3"


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


def shut_down(provider: TracerProvider, *, within: float) -> None:
    """Send the last spans, for `within` seconds at most: a collector may hang."""
    flushing = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
    flushing.start()
    flushing.join(within)
