"""Configures OpenTelemetry: whether and where spans are exported."""

import os
import threading
from contextlib import suppress

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
)

from observability.otel_values import for_traces, protocol

# The default limit of texts in spans: an identifier may have any length, and a collector accepts
# 4 MiB for hundreds of spans.
_LENGTH_LIMITS = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_MOST_CHARACTERS = "512"
# The default time limit of an export, which may delay the shutdown (seconds).
_EXPORT_TIMEOUT = "3"


def configure_tracing(service: str, version: str, instance: str) -> TracerProvider:
    """Set the provider of all spans of this process. It exports as the `OTEL_*` variables say.

    `observability.otel_env` has to correct the variables before.
    """
    # Without a ratio, the SDK would log a warning.
    os.environ.setdefault("OTEL_TRACES_SAMPLER_ARG", "1")
    if not any(os.environ.get(name) for name in _LENGTH_LIMITS):
        os.environ[_LENGTH_LIMITS[0]] = _MOST_CHARACTERS
    provider = TracerProvider(resource=_resource(service, version, instance))
    for kind in _kinds():
        exporter = ConsoleSpanExporter() if kind == "console" else _otlp_exporter()
        provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def _resource(service: str, version: str, instance: str) -> Resource:
    ours = {"service.version": version, "service.instance.id": instance}
    found = Resource.create(ours)
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        return found.merge(Resource({"service.name": service}))
    return found


def _kinds() -> list[str]:
    """The kinds of exporters. The specification's default, OTLP, is used only with an endpoint."""
    asked = os.environ.get("OTEL_TRACES_EXPORTER", "")
    kinds = asked.split(",") if asked else ["otlp"] if for_traces("ENDPOINT") else []
    if os.environ.get("OTEL_SDK_DISABLED") == "true" or "none" in kinds:
        return []
    return kinds


def _otlp_exporter() -> SpanExporter:
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", _EXPORT_TIMEOUT)
    # Imported only if needed: they would take a fifth of the start.
    if protocol() == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter as OverHttp,
        )

        return OverHttp()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # type: ignore[attr-defined]  # Compression is gRPC's
        Compression,
        OTLPSpanExporter,
    )

    # The SDK does not support a compression of `none`.
    compressed = for_traces("COMPRESSION") == "gzip"
    compression = Compression.Gzip if compressed else Compression.NoCompression
    return OTLPSpanExporter(insecure=_is_insecure(), compression=compression)


def _is_insecure() -> bool:
    """Whether to connect without TLS. By the specification a scheme has priority over INSECURE."""
    endpoint = for_traces("ENDPOINT").lower()
    if not endpoint or endpoint.startswith(("http:", "https:")):
        return not endpoint.startswith("https:")
    return for_traces("INSECURE") == "true"


def shut_down(provider: TracerProvider, *, within: float) -> None:
    """Export the last spans, for at most `within` seconds: a collector may hang."""
    flushing = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
    with suppress(RuntimeError):  # at the limit of threads, the last spans are lost
        flushing.start()
        flushing.join(within)
