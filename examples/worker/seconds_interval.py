"""A worker: it calls the backend every few seconds, until it is told to stop.

It stands alone, with grpcio, protobuf and the generated stubs. README.md, beside it, tells what
the supervisor promises to a worker and what it expects of one.
"""

import math
import os
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

import grpc
from google.protobuf.struct_pb2 import Struct

from service._generated.area_back_pb2 import JobError
from service._generated.area_back_pb2_grpc import AreaBackServiceStub
from service._generated.area_types_pb2 import JobData

_NAME = "timer-seconds-interval"
_CALL_SECONDS = 10.0
_LONGEST_SECONDS = 366 * 24 * 3600.0  # far below where `time.sleep` overflows
_BAD_ARGUMENTS = 2


class ArgumentError(Exception):
    """An argument is missing or wrong. The message holds no value: one may be a secret."""


def main(arguments: Sequence[str]) -> int:
    """Work until SIGTERM; return only if the arguments cannot be worked with."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        options = parse(arguments)
        target = _required(options, "target")
        identifier = _required(options, "identifier")
    except ArgumentError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)  # there is nobody to tell it to
        return _BAD_ARGUMENTS
    with grpc.insecure_channel(target) as channel:
        backend = AreaBackServiceStub(channel)
        try:
            _work(backend, identifier, seconds_of(options))
        except ArgumentError as error:
            _report_error(backend, identifier, str(error))
    return _BAD_ARGUMENTS


def parse(arguments: Sequence[str]) -> dict[str, str]:
    """Read `--KEY VALUE` pairs, whatever the keys.

    The supervisor passes on every parameter of the job, also those that are for others, and a
    value may begin with dashes: so argparse does not fit.
    """
    if len(arguments) % 2:
        raise ArgumentError("the arguments are not pairs of --KEY VALUE")
    keys = arguments[::2]
    for place, key in enumerate(keys):
        if not key.startswith("--"):
            raise ArgumentError(f"argument {2 * place + 1} should be a --KEY")
    return dict(zip((key.removeprefix("--") for key in keys), arguments[1::2], strict=True))


def seconds_of(options: dict[str, str]) -> float:
    """Return the interval, which has to be a number of seconds above zero."""
    text = _required(options, "seconds")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise ArgumentError("--seconds: has to be a number above 0")
    return seconds


def _required(options: dict[str, str], key: str) -> str:
    if not options.get(key):
        raise ArgumentError(f"--{key}: is missing")
    return options[key]


def _work(backend: AreaBackServiceStub, identifier: str, seconds: float) -> NoReturn:
    """Tick for ever. A backend that is away for a while misses ticks, and nothing worse."""
    count = 0
    print(f"every {seconds:g} s for {identifier}", flush=True)
    while True:
        time.sleep(seconds)
        count += 1
        _call_on_action(backend, identifier, count)


def _call_on_action(backend: AreaBackServiceStub, identifier: str, count: int) -> None:
    params = Struct()
    params.update({"count": count, "date": datetime.now(UTC).isoformat(timespec="milliseconds")})
    data = JobData(name=_NAME, identifier=identifier, params=params)
    try:
        backend.OnAction(data, timeout=_CALL_SECONDS, metadata=_trace())
    except grpc.RpcError as error:
        print(f"tick {count}: the backend cannot be told: {error.code().name}", flush=True)


def _report_error(backend: AreaBackServiceStub, identifier: str, problem: str) -> None:
    print(f"error: {problem}", file=sys.stderr, flush=True)
    report = JobError(identifier=identifier, error=problem, isAuthError=False)
    try:
        backend.OnError(report, timeout=_CALL_SECONDS, wait_for_ready=True, metadata=_trace())
    except grpc.RpcError as error:
        print(f"the backend cannot be told: {error.code().name}", file=sys.stderr, flush=True)


def _trace() -> tuple[tuple[str, str], ...]:
    """Return what makes the backend's spans part of the trace that launched this worker."""
    traceparent = os.environ.get("TRACEPARENT")
    return (("traceparent", traceparent),) if traceparent else ()


def _stop(*_: object) -> NoReturn:
    """Leave at once: nothing here needs an end in good order."""
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
