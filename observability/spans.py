"""Spans: what is put on them, and the trace context that a container gets."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

Attributes = Mapping[str, str | int | float | bool]

_TRACE_CONTEXT = TraceContextTextMapPropagator()
# A shorter wait is none, and no span (nanoseconds).
_A_WAIT = 1_000_000


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


@contextmanager
def client_span(name: str, attributes: Mapping[str, str]) -> Iterator[Span]:
    """A child span for a call to another system; no span where there is no trace to belong to.

    Exceptions are left to the caller: what they say may not be fit for a trace.
    """
    parent = trace.get_current_span()
    if not parent.get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    made = _tracer().start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
    with trace.use_span(
        made, end_on_exit=True, record_exception=False, set_status_on_exception=False
    ) as span:
        yield span


@contextmanager
def waiting(what: str, *, linked: str | None = None) -> Iterator[None]:
    """A span `wait for …`, where there is a wait to speak of.

    `linked` is the traceparent of what is waited for.
    """
    began = time.time_ns()
    try:
        yield
    finally:
        has_waited(what, began, linked=linked)


def has_waited(what: str, since: int, *, linked: str | None = None) -> None:
    """A span for a wait that ends now and began at `since` (nanoseconds since the epoch)."""
    if time.time_ns() - since < _A_WAIT or not trace.get_current_span().is_recording():
        return
    _tracer().start_span(f"wait for {what}", links=links_to(linked), start_time=since).end()


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
