"""The example backend, and what workers have told it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, Queue

from examples import backend

# A worker starts a Python of its own, on a machine that may be busy.
_CALL_SECONDS = 30.0


@dataclass(frozen=True)
class Backend:
    """A backend that listens."""

    port: int
    calls: "Queue[backend.Call]"

    @property
    def address(self) -> str:
        """What a worker's `--target` is for it."""
        return f"127.0.0.1:{self.port}"

    def next_call(self) -> backend.Call:
        """What a worker tells it next."""
        return self.calls.get(timeout=_CALL_SECONDS)

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing more comes, once what has arrived so far is taken away."""
        with suppress(Empty):
            while True:
                self.calls.get_nowait()
        with suppress(Empty):
            self.calls.get(timeout=seconds)
            return False
        return True


@contextmanager
def a_backend(port: int = 0) -> Iterator[Backend]:
    """A backend that listens until the end of the block."""
    calls: Queue[backend.Call] = Queue()
    server, port = backend.serve(f"127.0.0.1:{port}", calls.put)
    try:
        yield Backend(port, calls)
    finally:
        server.stop(0).wait()


def context_of(call: backend.Call) -> tuple[str, str]:
    """The trace and the span that a call has come from."""
    version, trace_id, span_id, flags = call.traceparent.split("-")
    assert "00" == version
    assert int(flags, 16) & 1  # it is sampled
    return trace_id, span_id
