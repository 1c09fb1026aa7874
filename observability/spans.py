"""Creates spans, sets their attributes, and passes the trace context to containers."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Attributes = Mapping[str, str | int | float | bool | Sequence[str]]

_TRACE_CONTEXT = TraceContextTextMapPropagator()
# A shorter wait gets no span (seconds).
_A_WAIT = 0.001


def trace_environment() -> Mapping[str, str]:
    """The current trace context as environment variables, for containers.

    Source: OpenTelemetry, "Environment Variables as Context Propagation Carriers".
    """
    return {key.upper(): value for key, value in trace_metadata().items()}


def trace_metadata() -> Mapping[str, str]:
    """The current trace context as metadata, for calls."""
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return carrier


def annotate(attributes: Attributes) -> None:
    """Set attributes of the current span, unless it has ended because its client disconnected."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(attributes)


def fail_span(span: Span, error_type: str, message: str = "") -> None:
    """Mark a span as failed. The message must not contain secrets."""
    if span.is_recording():
        span.set_status(StatusCode.ERROR, message)
        span.set_attribute("error.type", error_type)


def start_client_span(name: str, attributes: Mapping[str, str], began: float) -> Span:
    """Start a child span for a call to another system. `began` is in seconds since the epoch.

    Without a current trace there is no span. The caller ends the span with `end_span`.
    """
    if not trace.get_current_span().get_span_context().is_valid:
        return trace.INVALID_SPAN
    return _tracer().start_span(
        name, kind=SpanKind.CLIENT, attributes=attributes, start_time=_nanoseconds(began)
    )


def end_span(span: Span, ended: float) -> None:
    """End a span at a given time (seconds since the epoch)."""
    span.end(_nanoseconds(ended))


@contextmanager
def wait_span(what: str, *, linked: str | None = None) -> Iterator[None]:
    """Emit a span `wait for …` for the block, unless it is very short.

    `linked` is the traceparent of the span that the block waits for.
    """
    began = time.time()
    try:
        yield
    finally:
        record_wait(what, began, time.time(), linked=linked)


def record_wait(
    what: str,
    began: float,
    ended: float,
    *,
    within: Span | None = None,
    linked: str | None = None,
) -> None:
    """Emit a span for a wait that is over. Its parent is `within`, by default the current span.

    Times are seconds since the epoch.
    """
    parent = within or trace.get_current_span()
    if ended - began < _A_WAIT or not parent.is_recording():
        return
    wait = _tracer().start_span(
        f"wait for {what}",
        trace.set_span_in_context(parent),
        links=links_to(linked),
        start_time=_nanoseconds(began),
    )
    end_span(wait, ended)


@contextmanager
def call_span(name: str, attributes: Attributes, *, links: Sequence[Link]) -> Iterator[Span]:
    """A span in a new trace, for a call to another program. It is the current span meanwhile."""
    with _tracer().start_as_current_span(
        name,
        Context(),
        kind=SpanKind.CLIENT,
        attributes=attributes,
        links=links,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


@contextmanager
def emit_span(
    name: str,
    attributes: Attributes,
    *,
    began: float,
    ended: float,
    links: Sequence[Link],
) -> Iterator[Span]:
    """Emit a span in a new trace. It is the current span inside the block.

    Times are seconds since the epoch. A span that is kept open would be lost if the process died,
    so this is called when it is over.
    """
    span = _tracer().start_span(
        name, Context(), attributes=attributes, links=links, start_time=_nanoseconds(began)
    )
    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield span
    finally:
        span.end(_nanoseconds(max(began, ended)))


def links_to(*traceparents: str | None) -> Sequence[Link]:
    """Links to the spans of these traceparents. Missing and malformed ones are left out."""
    contexts = (
        trace.get_current_span(_TRACE_CONTEXT.extract({"traceparent": each}, Context()))
        for each in traceparents
        if each
    )
    return [Link(c.get_span_context()) for c in contexts if c.get_span_context().is_valid]


def _tracer() -> trace.Tracer:
    return _tracer_of(trace.get_tracer_provider())


@lru_cache(maxsize=1)
def _tracer_of(provider: trace.TracerProvider) -> trace.Tracer:
    """The tracer, which is cached because creating one takes as long as a span."""
    return provider.get_tracer("supervisor")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
