"""Spans without the process's provider, which can be set once only."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NonRecordingSpan, Span


@contextmanager
def sampled_span() -> Iterator[Span]:
    """A span that is current and will be exported."""
    with TracerProvider().get_tracer("tests").start_as_current_span("request") as span:
        yield span


@contextmanager
def unsampled_span() -> Iterator[Span]:
    """A span that is current, of a trace that nobody keeps."""
    provider = TracerProvider(sampler=ALWAYS_OFF)
    span = provider.get_tracer("tests").start_span("request")
    assert isinstance(span, NonRecordingSpan)
    with trace.use_span(span):
        yield span


class Recorded:
    """A provider whose spans can be looked at."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("tests")

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended."""
        return list(self._exporter.get_finished_spans())
