"""A collector of traces for a test: the demo's, on a free port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from scripts.otlp_receiver import Receiver as Collector
from scripts.otlp_receiver import Span as Seen

__all__ = ["Collector", "Seen", "collecting", "span_of", "taking_http"]


@contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    """A collector that listens until the end of the block."""
    collector = Collector(hangs=hangs)
    try:
        yield collector
    finally:
        collector.stop()


@contextmanager
def taking_http(collector: Collector) -> Iterator[str]:
    """A second entrance to a collector, OTLP over HTTP without TLS: its HOST:PORT."""

    class Entrance(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            known = self.path == "/v1/traces"
            if known:
                collector.take(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if known else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Entrance) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def span_of(collector: Collector, trace_id: str, name: str) -> Seen:
    """The one span of a trace that is called so, once it has arrived."""
    found = collector.wait_for(trace_id, name)
    (span,) = [span for span in found if span.name.rpartition("/")[2] == name]
    return span
