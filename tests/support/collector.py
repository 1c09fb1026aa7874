"""A collector of traces for a test: the demo's, on a free port."""

from collections.abc import Iterator
from contextlib import contextmanager

from scripts.otlp_receiver import Receiver as Collector
from scripts.otlp_receiver import Span as Seen

__all__ = ["Collector", "Seen", "collecting"]


@contextmanager
def collecting(*, hangs: bool = False) -> Iterator[Collector]:
    """A collector that listens until the end of the block."""
    collector = Collector(hangs=hangs)
    try:
        yield collector
    finally:
        collector.stop()
