"""The workers of this image. The first argument says which one runs.

docs/workers.md says what a worker gets from the supervisor and what it has to do.
"""

import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import grpc

from examples.worker import seconds_interval, send_message, tracing
from examples.worker.arguments import BAD_ARGUMENTS, ArgumentError, parse, required
from examples.worker.callbacks import Backend
from examples.worker.credentials import credentials

_WORKERS = {"seconds-interval": seconds_interval.run, "send-message": send_message.run}


def main(arguments: Sequence[str]) -> int:
    """Run a worker to its end, or until SIGTERM."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    provider = tracing.configure()
    try:
        return _run(arguments)
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # no backend is known
        return BAD_ARGUMENTS
    finally:
        tracing.flush(provider)


def _run(arguments: Sequence[str]) -> int:
    name = arguments[0] if arguments else ""
    if name not in _WORKERS:
        raise ArgumentError(f"the first argument has to be one of: {', '.join(_WORKERS)}")
    options = parse(arguments[1:])
    target, identifier = required(options, "target"), required(options, "identifier")
    credentials(options)  # a worker of a service would sign in with them
    with grpc.insecure_channel(target) as channel:
        return _WORKERS[name](Backend(channel, identifier), options)


def _stop(*_: object) -> NoReturn:
    """Exit at once. This cuts off at most one callback."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
