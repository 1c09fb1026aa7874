"""Calls a supervisor. Failures end the command: see `errors`."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, Self, TypeVar

from observability.escaping import printable
from service.client.deadline import left
from service.client.errors import CommandError, ExitCode
from service.client.target import Target

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # which gRPC reads once: it would print lines

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub

R = TypeVar("R")

_TIMEOUT = 30.0
_OPTIONS: Sequence[tuple[str, int]] = [
    ("grpc.enable_http_proxy", 0),  # those of the environment are for the web
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 10_000),  # so that a stream ends when its supervisor has vanished
    ("grpc.keepalive_timeout_ms", 10_000),
]
_CODES = {
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.NOT_ALLOWED,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.NOT_ALLOWED,
    grpc.StatusCode.NOT_FOUND: ExitCode.UNKNOWN,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.USAGE,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNREACHABLE,
}
# A supervisor that stops, or starts; a client that has read too slowly
_PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)
_SIGNS_OF_TLS = ("not answer", "HTTP/2", "losed", "reset")
# How often it was tried, and at which of the addresses
_BESIDE_THE_REASON = re.compile(
    r"^.*last error: (?:[A-Z]+: ipv[46]:\S+: )?|^[A-Z]+: ipv[46]:\S+: |Failed to connect .*?: "
    r"|^.*lookup failed for \S+: |\]$"
)


class Supervisor:
    """A supervisor. The first call connects.

    It asks first whether there is one that answers, unless it is `hasty`.
    """

    def __init__(self, target: Target, *, hasty: bool = False) -> None:
        self.target = target
        self._hasty = hasty
        self._channel: grpc.Channel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._channel:
            self._channel.close()

    @cached_property
    def observer(self) -> JobObserverStub:
        return JobObserverStub(self._connected)

    @cached_property
    def jobs(self) -> AreaSupervisorServiceStub:
        return AreaSupervisorServiceStub(self._connected)

    def call(
        self,
        method: Callable[..., R],
        request: Any,
        *,
        timeout: float | None = _TIMEOUT,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> R:
        """The answer to a call. Raises `CommandError`."""
        try:
            return method(request, timeout=timeout, metadata=[*self._credentials, *metadata])
        except grpc.RpcError as error:
            raise self.error_of(error) from None

    def begin(
        self, method: Any, request: Any, *, metadata: Sequence[tuple[str, str]] = ()
    ) -> "Pending":
        """A call that goes on meanwhile, and takes as long as it takes."""
        return Pending(method.future(request, metadata=[*self._credentials, *metadata]), self)

    def stream(self, method: Callable[..., Iterable[R]], request: Any) -> Iterator[R]:
        """The messages of a stream, which ends with this iterator. Raises `CommandError`."""
        call: Any = method(request, metadata=self._credentials)
        try:
            yield from call
        except grpc.RpcError as error:
            raise self.error_of(error) from None
        finally:
            call.cancel()

    @cached_property
    def _connected(self) -> grpc.Channel:
        """A channel to a supervisor that answers. Without this, a launch would wait for ever."""
        channel = self._channel = self._opened()
        if not self._hasty:
            self._require_answer(channel)
        return channel

    def _require_answer(self, channel: grpc.Channel) -> None:
        request = HealthCheckRequest(service="liveness")
        try:
            HealthStub(channel).Check(request, timeout=left())  # type: ignore[attr-defined]
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self._unreachable("it does not answer") from None
            if error.code() == grpc.StatusCode.UNAVAILABLE:
                raise self._unreachable(_reason(error)) from None

    def _opened(self) -> grpc.Channel:
        tls, address = self.target.tls, f"dns:///{self.target}"
        if tls is None:
            return grpc.insecure_channel(address, _OPTIONS)
        credentials = grpc.ssl_channel_credentials(tls.authorities, tls.key, tls.certificate)
        return grpc.secure_channel(address, credentials, _OPTIONS)

    @property
    def _credentials(self) -> Sequence[tuple[str, str]]:
        token = self.target.token
        return [("authorization", f"Bearer {token}")] if token else []

    def error_of(self, error: grpc.RpcError) -> CommandError:
        """The error that a command ends with."""
        code, details = error.code(), printable(error.details() or "")
        if code == grpc.StatusCode.UNIMPLEMENTED:
            return CommandError(
                f"{self.target}: is not a supervisor, or one that is too old for this"
            )
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            details = f"{self.target}: has not answered in time"
        exit_code = _CODES.get(code, ExitCode.FAILED)
        return CommandError(details or code.name, exit_code, passing=code in _PASSING)

    def _unreachable(self, reason: str) -> CommandError:
        maybe_tls = not self.target.tls and any(sign in reason for sign in _SIGNS_OF_TLS)
        hint = "; if it speaks TLS, give --ca" if maybe_tls else ""
        message = f"{self.target}: cannot be reached: {reason}{hint}"
        return CommandError(message, ExitCode.UNREACHABLE, passing=True)


class Pending:
    """A call under way."""

    def __init__(self, call: Any, supervisor: Supervisor) -> None:
        self._call, self._supervisor = call, supervisor

    def done(self) -> bool:
        return bool(self._call.done())

    def result(self) -> Any:
        """The answer. Raises `CommandError`."""
        try:
            return self._call.result()
        except grpc.RpcError as error:
            raise self._supervisor.error_of(error) from None


def _reason(error: grpc.RpcError) -> str:
    """The part of gRPC's message that matters to a person."""
    details = printable(error.details() or "UNAVAILABLE")
    return _BESIDE_THE_REASON.sub("", details)
