"""Asks a running supervisor for its health: for the health checks of containers."""

import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

_TIMEOUT = 3.0
_NO_PROXY = [("grpc.enable_http_proxy", 0)]  # the supervisor is on this host


def check_health(host: str, port: int, service: str) -> tuple[bool, str]:
    """Whether the service is SERVING, and its status or the error. Takes at most 3 s."""
    target = _target(host, port)
    with grpc.insecure_channel(target, _NO_PROXY) as channel:
        try:
            answer = HealthStub(channel).Check(  # type: ignore[attr-defined]
                HealthCheckRequest(service=service), timeout=_TIMEOUT, wait_for_ready=False
            )
        except grpc.RpcError as error:
            return False, f"{target}: {error.code().name}"
    name = HealthCheckResponse.ServingStatus.Name(answer.status)
    return answer.status == HealthCheckResponse.SERVING, name


def check_page(host: str, port: int, service: str, *, tls: bool) -> tuple[bool, str]:
    """Ask the HTTP port for the same: whether all is well, and what it says or the error.

    For a gRPC port with TLS. This checks no certificate, because it asks its own host and sends no
    secret. So it works while certificates are renewed, and after they have expired.
    """
    path = "/livez" if service == "liveness" else "/readyz"
    try:
        with closing(_connection(host, port, tls=tls)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status == 200, answer.read().decode().strip()  # noqa: PLR2004
    except (OSError, HTTPException) as error:
        return False, f"{_target(host, port)}{path}: {error or type(error).__name__}"


def _connection(host: str, port: int, *, tls: bool) -> HTTPConnection:
    if not tls:
        return HTTPConnection(host, port, timeout=_TIMEOUT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)


def _target(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
