"""A small collector: receives spans over OTLP, and prints a trace as a tree."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """A span with ids in hexadecimal and links as TRACEID:SPANID. `raw` has all fields."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    status: str
    begun: int
    milliseconds: float
    attributes: dict[str, str]
    events: tuple[str, ...]
    links: tuple[str, ...]  # TRACEID:SPANID
    raw: str

    @property
    def failed(self) -> bool:
        """Whether its status is an error."""
        return self.status == "ERROR"


class Receiver(TraceServiceServicer):
    """Keeps the spans that arrive at its port, a free one of the loopback."""

    def __init__(self, *, hangs: bool = False) -> None:
        """Listen. With `hangs`, never answer."""
        self._spans: list[Span] = []
        self._lock = threading.Lock()
        self.asked = 0  # how often, answered or not
        self._answers = threading.Event()
        if not hangs:
            self._answers.set()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)]
        )
        add_TraceServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"http://127.0.0.1:{self.port}"
        self._server.start()

    def Export(  # noqa: N802 - the protocol's name
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Receive a batch of spans."""
        del context
        with self._lock:
            self.asked += 1
        self._answers.wait()
        self.take(request)
        return ExportTraceServiceResponse()

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep a batch of spans, which may also arrive over HTTP."""
        with self._lock:
            self._spans.extend(_read(request))

    def spans(self, name: str = "") -> list[Span]:
        """The received spans, all or those with a name, by start."""
        with self._lock:
            found = [span for span in self._spans if name in ("", span.name)]
        return sorted(found, key=lambda span: span.begun)

    def children(self, parent: Span) -> list[str]:
        """The names of the spans right below a span, by their start."""
        return [span.name for span in self.spans() if span.parent_id == parent.span_id]

    def wait_for(self, trace_id: str, name: str, seconds: float = 15) -> list[Span]:
        """Wait for a span of a trace with this name. Return the trace's spans so far.

        A span is exported when it has ended, so children come before their parent.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [span for span in self.spans() if span.trace_id == trace_id]
            if any(span.name.endswith(name) for span in found):
                return found
            time.sleep(0.05)
        return [span for span in self.spans() if span.trace_id == trace_id]

    def stop(self) -> None:
        """Close the port, and end calls that hang."""
        self._answers.set()
        self._server.stop(grace=1).wait()


def tree(spans: list[Span], parent_id: str, depth: int = 0) -> Iterator[tuple[int, Span]]:
    """The spans below a parent, each with its depth, in the order in which they began."""
    for span in spans:
        if span.parent_id == parent_id:
            yield depth, span
            yield from tree(spans, span.span_id, depth + 1)


def _read(request: ExportTraceServiceRequest) -> Iterator[Span]:
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            yield from (_span(span, str(resource.resource)) for span in scope.spans)


def _span(span: SpanMessage, resource: str) -> Span:
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        kind=SpanMessage.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        status=Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        begun=span.start_time_unix_nano,
        milliseconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
        attributes={attribute.key: _text(attribute.value) for attribute in span.attributes},
        events=tuple(event.name for event in span.events),
        links=tuple(f"{link.trace_id.hex()}:{link.span_id.hex()}" for link in span.links),
        raw=f"{resource}\n{span}",
    )


def _text(value: AnyValue) -> str:
    return str(getattr(value, value.WhichOneof("value") or "string_value"))
