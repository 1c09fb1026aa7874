"""Traces: continues the launch's trace, and sends a worker's own spans.

The supervisor puts the trace context of the launch into TRACEPARENT. Where spans are sent to
says OTEL_EXPORTER_OTLP_ENDPOINT; without it they are sent nowhere, and still have their ids, so
that the backend can go on with them.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_FLUSH_SECONDS = 1.0
_W3C = TraceContextTextMapPropagator()


def configure() -> TracerProvider:
    """Set up spans. Export them in the background if there is a collector."""
    provider = TracerProvider(shutdown_on_exit=False)  # `flush` does it, with a time limit
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        # Imported only if needed: it takes a quarter of a worker's start.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def part_of_launch(job: str, identifier: str) -> AbstractContextManager[Span]:
    """A span in the launch's trace: for a reaction, which ends soon after its launch."""
    return _span(job, identifier, _launch())


def linked_to_launch(job: str, identifier: str) -> AbstractContextManager[Span]:
    """A span that begins a trace, with a link to the launch: for each callback of an action."""
    launch = trace.get_current_span(_launch()).get_span_context()
    return _span(job, identifier, Context(), [Link(launch)])  # without a launch, there is no link


def metadata() -> tuple[tuple[str, str], ...]:
    """The gRPC metadata that makes the backend's spans children of the current one."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return tuple(carrier.items())


def fail(error_type: str, message: str = "") -> None:
    """Mark the current span as failed. The message must not contain secrets."""
    span = trace.get_current_span()
    span.set_status(StatusCode.ERROR, message)
    span.set_attribute("error.type", error_type)


def flush(provider: TracerProvider) -> None:
    """Send the last spans, but do not wait for a collector that is away."""
    sending = threading.Thread(target=provider.shutdown, daemon=True)
    sending.start()
    sending.join(_FLUSH_SECONDS)


def _launch() -> Context:
    """The context in TRACEPARENT, or an empty one if it is missing or malformed."""
    found = {field: os.environ.get(field.upper(), "") for field in _W3C.fields}
    return _W3C.extract(found, Context())


def _span(
    job: str, identifier: str, parent: Context, links: Sequence[Link] = ()
) -> AbstractContextManager[Span]:
    """A span with attributes of the supervisor's spans, so that a search finds both."""
    return trace.get_tracer("worker").start_as_current_span(
        job,
        context=parent,
        kind=SpanKind.CLIENT,  # the block calls the backend
        attributes={"supervisor.job.name": job, "supervisor.job.identifier": identifier},
        links=links,
    )
