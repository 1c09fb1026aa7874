"""The measured calls, as messages and as bytes on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest

from service._generated.area_types_pb2 import AuthenticatedJobData
from service.jobs.model import JobSpec, JsonValue

ACTION = "timer"
ENDING = "webhook"  # an action that ends by itself
LISTED_JOBS = 10
_PARAMS: Mapping[str, JsonValue] = {"seconds": 5, "city": "Paris"}
_AUTH: Mapping[str, JsonValue] = {"access_token": "0123456789abcdef" * 4}
_FRAME = b"\0"  # not compressed
_SERVICE = "/area_supervisor.AreaSupervisorService"


@dataclass(frozen=True, eq=False)
class Call:
    """A unary call."""

    name: str
    path: str
    message: Message

    @property
    def framed(self) -> bytes:
        """The message in gRPC's framing: a flag, the length, the bytes."""
        message = self.message.SerializeToString()
        return _FRAME + len(message).to_bytes(4, "big") + message


def launch_of(identifier: str) -> AuthenticatedJobData:
    """A request of the usual size."""
    request = AuthenticatedJobData(name=ACTION, identifier=identifier)
    request.params.update(_PARAMS)
    request.auth.update(_AUTH)
    return request


def spec_of(identifier: str, name: str) -> JobSpec:
    """The same, as the use cases have it."""
    known = hash(identifier)  # in place of the hash of a request
    return JobSpec(name, identifier, dict(_PARAMS), dict(_AUTH), known)


def identifier_of(number: int) -> str:
    """The identifier of the job with this number."""
    return f"timer-seconds-interval-{number}"


def number_of(identifier: str) -> int:
    """The number of the job with this identifier."""
    return int(identifier.rpartition("-")[2])


DEDUP = Call("dedup", f"{_SERVICE}/LaunchJob", launch_of(identifier_of(0)))
LIST_JOBS = Call("ListJobs", f"{_SERVICE}/ListJobs", Empty())
HEALTH = Call("health", "/grpc.health.v1.Health/Check", HealthCheckRequest())
