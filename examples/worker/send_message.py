"""A reaction: sends a message, calls the backend, and ends."""

from collections.abc import Mapping

from examples.worker import tracing
from examples.worker.arguments import BAD_ARGUMENTS, ArgumentError, required
from examples.worker.callbacks import Backend

_JOB = "console-send-message"
_BACKEND_NOT_TOLD = 1


def run(backend: Backend, options: Mapping[str, str]) -> int:
    """Send it, in the launch's trace, because a reaction ends soon after its launch."""
    with tracing.part_of_launch(_JOB, backend.identifier):
        try:
            message = required(options, "message")
        except ArgumentError as error:
            backend.on_error(error)
            return BAD_ARGUMENTS
        print(f"message: {message}", flush=True)  # a real one would send it somewhere
        told = backend.on_reaction(_JOB, {"characters": len(message)})
        return 0 if told else _BACKEND_NOT_TOLD
