"""Spans: what is put on them, and the trace context that a container gets."""

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
# A shorter wait is none, and no span (seconds).
_A_WAIT = 0.001


def trace_environment() -> Mapping[str, str]:
    """The current trace context as environment variables, for a container to continue.

    Source: OpenTelemetry, "Environment Variables as Context Propagation Carriers".
    """
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return {key.upper(): value for key, value in carrier.items()}


def annotate(attributes: Attributes) -> None:
    """Put attributes on the current span, unless it has ended: its client may have hung up."""
    span = trace.get_current_span()
    if span.is_recording():
        span.set_attributes(attributes)


def fail_span(span: Span, error_type: str, message: str = "") -> None:
    """Mark a span as an error. The message must be free of secrets."""
    if span.is_recording():
        span.set_status(StatusCode.ERROR, message)
        span.set_attribute("error.type", error_type)


def start_client_span(name: str, attributes: Mapping[str, str], began: float) -> Span:
    """A child span for a call to another system, which began then (seconds since the epoch).

    No span where there is no trace to belong to. The caller ends it with `end_span`.
    """
    if not trace.get_current_span().get_span_context().is_valid:
        return trace.INVALID_SPAN
    return _tracer().start_span(
        name, kind=SpanKind.CLIENT, attributes=attributes, start_time=_nanoseconds(began)
    )


def end_span(span: Span, ended: float) -> None:
    """End a span at a time (seconds since the epoch)."""
    span.end(_nanoseconds(ended))


@contextmanager
def waiting(what: str, *, linked: str | None = None) -> Iterator[None]:
    """A span `wait for …`, where there is a wait to speak of.

    `linked` is the traceparent of what is waited for.
    """
    began = time.time()
    try:
        yield
    finally:
        has_waited(what, began, time.time(), linked=linked)


def has_waited(
    what: str,
    began: float,
    ended: float,
    *,
    within: Span | None = None,
    linked: str | None = None,
) -> None:
    """A span for a wait that is over (seconds since the epoch), as a child of the current span.

    Or of another, `within` which it was.
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
def past_span(
    name: str,
    attributes: Attributes,
    *,
    began: float,
    ended: float,
    links: Sequence[Link],
) -> Iterator[Span]:
    """A trace of its own for what is over (seconds since the epoch); current inside the block.

    Made at the end, and not kept open: what is open when a process dies is never exported.
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
    """Links to the spans that these traceparents name; none for one that is missing or broken."""
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
    """Kept: making one takes as long as a span."""
    return provider.get_tracer("supervisor")


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
