"""The measured calls, as messages and as bytes on the wire."""

from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest

from service._generated.area_types_pb2 import AuthenticatedJobData

ACTION = "timer"
ENDING = "webhook"  # an action that ends by itself
LISTED_JOBS = 10
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
    request.params.update({"seconds": 5, "city": "Paris"})
    request.auth.update({"access_token": "0123456789abcdef" * 4})
    return request


def identifier_of(number: int) -> str:
    """The identifier of the job with this number."""
    return f"timer-seconds-interval-{number}"


def number_of(identifier: str) -> int:
    """The number of the job with this identifier."""
    return int(identifier.rpartition("-")[2])


DEDUP = Call("dedup", f"{_SERVICE}/LaunchJob", launch_of(identifier_of(0)))
LIST_JOBS = Call("ListJobs", f"{_SERVICE}/ListJobs", Empty())
HEALTH = Call("health", "/grpc.health.v1.Health/Check", HealthCheckRequest())
