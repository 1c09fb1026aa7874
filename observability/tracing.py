"""OpenTelemetry: whether and where spans go."""

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

from observability.otel_env import for_traces, protocol

# Of a text on a span, unless the environment says otherwise: an identifier may have any length, and
# a collector takes 4 MiB for hundreds of spans.
_LENGTH_LIMITS = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT")
_MOST_CHARACTERS = "512"
# Without a collector, the last export may hold up the drain for this long (seconds).
_EXPORT_TIMEOUT = "3"


def configure_tracing(service: str, version: str, instance: str) -> TracerProvider:
    """The provider of every span of this process; it exports where `OTEL_*` ask for it.

    The variables have to be settled before: see `observability.otel_env`.
    """
    # The SDK would warn of a ratio that is not given.
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
    """OTLP is the specification's default, but without an endpoint nobody has asked for it."""
    asked = os.environ.get("OTEL_TRACES_EXPORTER", "")
    kinds = asked.split(",") if asked else ["otlp"] if for_traces("ENDPOINT") else []
    if os.environ.get("OTEL_SDK_DISABLED") == "true" or "none" in kinds:
        return []
    return kinds


def _otlp_exporter() -> SpanExporter:
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", _EXPORT_TIMEOUT)
    # Imported where they are needed: they are a fifth of the start otherwise.
    if protocol() == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter as OverHttp,
        )

        return OverHttp()
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # type: ignore[attr-defined]  # Compression is gRPC's
        Compression,
        OTLPSpanExporter,
    )

    # The SDK takes a compression of `none` for an error.
    compressed = for_traces("COMPRESSION") == "gzip"
    compression = Compression.Gzip if compressed else Compression.NoCompression
    return OTLPSpanExporter(insecure=_is_insecure(), compression=compression)


def _is_insecure() -> bool:
    """The scheme says so, by the specification. In the SDK INSECURE goes before `http`."""
    endpoint = for_traces("ENDPOINT").lower()
    if not endpoint or endpoint.startswith(("http:", "https:")):
        return not endpoint.startswith("https:")
    return for_traces("INSECURE") == "true"


def shut_down(provider: TracerProvider, *, within: float) -> None:
    """Send the last spans, for `within` seconds at most: a collector may hang."""
    flushing = threading.Thread(target=provider.shutdown, name="spans", daemon=True)
    with suppress(RuntimeError):  # where there may be no more threads, the last spans are lost
        flushing.start()
        flushing.join(within)
