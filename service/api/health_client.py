"""Asks a running supervisor for its health: for the health checks of containers."""

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

_TIMEOUT = 3.0
_NO_PROXY = [("grpc.enable_http_proxy", 0)]  # the supervisor is on this host


def check_health(host: str, port: int, service: str) -> tuple[bool, str]:
    """Whether the service is SERVING, and its status or the error. Takes at most 3 s."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with grpc.insecure_channel(target, _NO_PROXY) as channel:
        try:
            answer = HealthStub(channel).Check(  # type: ignore[attr-defined]
                HealthCheckRequest(service=service), timeout=_TIMEOUT, wait_for_ready=False
            )
        except grpc.RpcError as error:
            return False, f"{target}: {error.code().name}"
    name = HealthCheckResponse.ServingStatus.Name(answer.status)
    return answer.status == HealthCheckResponse.SERVING, name
