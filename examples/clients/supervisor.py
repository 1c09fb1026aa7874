"""A client of the supervisor for Python, to copy. docs/backends.md has the reasons.

    python -m examples.clients.supervisor localhost:50051

The stubs are those of this checkout. Your own come from `python -m grpc_tools.protoc -I proto
--python_out=. --grpc_python_out=. proto/area_types.proto proto/area_supervisor.proto`.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from service._generated.area_supervisor_pb2 import Job, JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import AuthenticatedJobData, Response

# Bridges a restart of the supervisor, together with `wait_for_ready`. A call that arrives while
# gRPC closes the connection ends with CANCELLED.
_OPTIONS = {
    "grpc.service_config": json.dumps(
        {
            "methodConfig": [
                {
                    "name": [{"service": "area_supervisor.AreaSupervisorService"}],
                    "retryPolicy": {
                        "maxAttempts": 5,
                        "initialBackoff": "0.2s",
                        "maxBackoff": "5s",
                        "backoffMultiplier": 2,
                        "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
                    },
                }
            ]
        }
    ),
    "grpc.max_reconnect_backoff_ms": 2000,
    "grpc.dns_min_time_between_resolutions_ms": 1000,
}
# A supervisor that is stopping answers a launch that waits for its turn with this code. gRPC's own
# retries do not see it.
_STOPPING = 503
_PAUSE = 0.5  # seconds


class SupervisorError(Exception):
    """A request that the supervisor has refused; `code` is the answer's, such as 404.

    Other failures are `grpc.RpcError`s.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code


class Supervisor:
    """A backend's client of the supervisor."""

    def __init__(
        self,
        address: str,
        *,
        seconds: float = 60,
        token: str = "",
        encryption: grpc.ChannelCredentials | None = None,
    ) -> None:
        """`seconds` is the deadline of each call. It has to cover a restart and a launch.

        `token` says who calls. `encryption` is `grpc.ssl_channel_credentials(ca, key, chain)`, with
        the authority of the supervisor, and a certificate for this client if the supervisor asks
        for one. Without it, a token can be read on its way.
        """
        self._seconds = seconds
        self._identity = (("authorization", f"Bearer {token}"),) if token else ()
        options = list(_OPTIONS.items())
        if encryption:
            self._channel = grpc.secure_channel(address, encryption, options)
        else:
            self._channel = grpc.insecure_channel(address, options)
        self._supervisor = AreaSupervisorServiceStub(self._channel)
        self._health: Any = HealthStub(self._channel)

    def launch(
        self,
        name: str,
        identifier: str,
        params: Mapping[str, Any] | None = None,
        auth: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
    ) -> None:
        """Launch a job.

        A key stands for one launch. To try a launch again, pass the key of the first try.
        """
        request = AuthenticatedJobData(
            name=name, identifier=identifier, params=_struct(params), auth=_struct(auth)
        )
        call = self._call(("idempotency-key", key or str(uuid4())))
        until = time.monotonic() + self._seconds
        response = self._supervisor.LaunchJob(request, **call)
        while response.error.code == _STOPPING and time.monotonic() < until:
            time.sleep(_PAUSE)
            response = self._supervisor.LaunchJob(request, **call)
        _check(response)

    def kill(self, identifier: str) -> None:
        """Stop every job of an identifier. It is a success if none runs."""
        _check(self._supervisor.KillJob(JobId(identifier=identifier), **self._call()))

    def kill_all(self) -> None:
        """Stop all jobs."""
        _check(self._supervisor.KillAllJobs(Empty(), **self._call()))

    def jobs(self) -> list[Job]:
        """The live jobs, each with a name, an identifier and a status."""
        return list(self._supervisor.ListJobs(Empty(), **self._call()).jobs)

    def health(self, service: str = "") -> str:
        """SERVING or NOT_SERVING: "" asks for readiness, "liveness" for the process."""
        answer = self._health.Check(HealthCheckRequest(service=service), **self._call())
        return HealthCheckResponse.ServingStatus.Name(answer.status)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _call(self, *metadata: tuple[str, str]) -> dict[str, Any]:
        """What each call is made with."""
        return {
            "timeout": self._seconds,
            "wait_for_ready": True,
            "metadata": (*self._identity, *metadata),
        }


def _check(response: Response) -> None:
    if response.HasField("error"):
        raise SupervisorError(response.error.code, response.error.message)


def _struct(values: Mapping[str, Any] | None) -> Struct:
    """Plain values as a Struct. Raises ValueError for other values, such as a date."""
    struct = Struct()
    struct.update(dict(values or {}))
    return struct


def main() -> None:
    """Launch the example workers: see examples/worker/README.md for their image.

    SUPERVISOR_TOKEN and SUPERVISOR_CA_FILE are for a supervisor with an access file and TLS.
    """
    address = sys.argv[1] if len(sys.argv) > 1 else "localhost:50051"
    token, file = os.environ.get("SUPERVISOR_TOKEN", ""), os.environ.get("SUPERVISOR_CA_FILE")
    encryption = grpc.ssl_channel_credentials(Path(file).read_bytes()) if file else None
    supervisor = Supervisor(address, token=token, encryption=encryption)
    timer, message = "timer-seconds-interval", "console-send-message"
    print(f"health: {supervisor.health()}")
    supervisor.launch(timer, f"{timer}-42", {"seconds": 5})

    key = str(uuid4())
    for _ in range(2):  # tried again: it has run once
        supervisor.launch(message, f"{message}-42", {"message": "Hello"}, key=key)

    for job in supervisor.jobs():
        print(f"launched: {job.identifier}")

    try:
        supervisor.launch("unheard-of", "x")
    except SupervisorError as error:
        print(f"refused: {error.code}")  # and its text says why

    for name in (timer, message):
        supervisor.kill(f"{name}-42")
    print(f"left: {len(supervisor.jobs())}")
    supervisor.close()


if __name__ == "__main__":
    main()
