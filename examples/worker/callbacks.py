"""A worker's calls of the backend. Each call carries the trace context of the current span."""

import sys
from collections.abc import Callable, Mapping

import grpc
from google.protobuf.struct_pb2 import Struct

from examples.worker import tracing
from service._generated.area_back_pb2 import JobError
from service._generated.area_back_pb2_grpc import AreaBackServiceStub
from service._generated.area_types_pb2 import JobData

# A call waits this long for a backend that is away (seconds).
_CALL_SECONDS = 10.0


class Backend:
    """The backend, for the worker of one job. The calls return whether they succeeded."""

    def __init__(self, channel: grpc.Channel, identifier: str) -> None:
        self._stub = AreaBackServiceStub(channel)
        self.identifier = identifier

    def on_action(self, job: str, found: Mapping[str, str | float]) -> bool:
        """Report that an action has happened. `found` is for the workflow's reactions."""
        return _call(self._stub.OnAction, self._data(job, found))

    def on_reaction(self, job: str, done: Mapping[str, str | float]) -> bool:
        """Report that a reaction has been carried out."""
        return _call(self._stub.OnReaction, self._data(job, done))

    def on_error(self, error: Exception) -> bool:
        """Report an error. Its text is for a person, and free of secrets."""
        print(f"error: {error}", file=sys.stderr, flush=True)
        tracing.fail(type(error).__name__, str(error))
        return _call(
            self._stub.OnError,
            JobError(identifier=self.identifier, error=str(error), isAuthError=False),
        )

    def _data(self, job: str, values: Mapping[str, str | float]) -> JobData:
        params = Struct()
        params.update(dict(values))
        return JobData(name=job, identifier=self.identifier, params=params)


def _call(method: Callable[..., object], message: JobData | JobError) -> bool:
    try:
        method(message, timeout=_CALL_SECONDS, wait_for_ready=True, metadata=tracing.metadata())
    except grpc.RpcError as error:
        code = error.code().name
        tracing.fail(code)
        print(f"the backend cannot be told: {code}", file=sys.stderr, flush=True)
        return False
    return True
