"""The supervisor of the demo, in a container that is hardened like docker-compose.yml's."""

import contextlib
import http.client
import os
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import docker
import docker.errors
import grpc
from docker.models.containers import Container
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client.parser import text_string_to_metric_families

from scripts.certificates import Authority
from scripts.ports import free_port
from scripts.progress import tail
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service.jobs.labels import INSTANCE_LABEL

_CATALOG = "/etc/supervisor/catalog.toml"
_CERTIFICATES = "/etc/supervisor/tls"
_HISTORY = "/var/lib/area-supervisor"
_READY_SECONDS = 60.0
_COMMAND = Path(sys.executable).with_name("area-supervisor")


class DemoError(Exception):
    """A check of the demo failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parameters of a supervisor's container."""

    image: str
    engine_socket: Path
    catalog: Path
    backend_port: int
    otlp_port: int


class Supervisor:
    """A container with the supervisor, and clients for all of its endpoints.

    Both ports speak TLS, and clients of gRPC have certificates.
    """

    def __init__(self, client: docker.DockerClient, instance: str) -> None:
        self._client = client
        self._instance = instance
        self._name = f"{instance}-supervisor"
        self._container: Container | None = None
        self._files: Path | None = None  # the folder of the certificates
        self.grpc_port, self.http_port = free_port(), free_port()
        # Without proxies from the environment: this is the loopback.
        options = [("grpc.enable_http_proxy", 0)]
        self._authority = Authority(instance)
        self._ours = ours = self._authority.issue(f"spiffe://area/{instance}")
        credentials = grpc.ssl_channel_credentials(self._authority.pem, ours.key, ours.chain)
        self._channel = grpc.secure_channel(f"127.0.0.1:{self.grpc_port}", credentials, options)
        self.stub = AreaSupervisorServiceStub(self._channel)
        self._health = HealthStub(self._channel)

    def start(self, parts: Parts) -> None:
        """Run the image with the Engine's socket mounted, and wait until it is SERVING."""
        self._container = self._client.containers.run(
            parts.image,
            name=self._name,
            detach=True,
            network_mode="host",
            volumes={
                str(parts.engine_socket): {"bind": "/var/run/docker.sock", "mode": "rw"},
                str(parts.catalog): {"bind": _CATALOG, "mode": "ro"},
                str(self._certificates(parts)): {"bind": _CERTIFICATES, "mode": "ro"},
                self._name: {"bind": _HISTORY, "mode": "rw"},
            },
            environment=self._environment(parts.backend_port, parts.otlp_port),
            read_only=True,
            tmpfs={"/tmp": ""},  # noqa: S108 - in the container
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
        self._wait_until_serving()

    def health(self, service: str = "") -> str:
        """The status from the gRPC health service."""
        request = HealthCheckRequest(service=service)
        answer = self._health.Check(request, timeout=5)  # type: ignore[attr-defined]
        return HealthCheckResponse.ServingStatus.Name(answer.status)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an HTTP request."""
        trusting = ssl.create_default_context(cadata=self._authority.pem.decode())
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.http_port, timeout=5, context=trusting
        )
        with contextlib.closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode().strip()

    def metrics(self) -> list[tuple[str, dict[str, str], float]]:
        """Every sample: its name, labels and value."""
        families = text_string_to_metric_families(self.get("/metrics")[1] + "\n")
        return [(item.name, item.labels, item.value) for each in families for item in each.samples]

    def jobs_on_the_engine(self) -> list[Container]:
        """The containers of our instance, by their label, running or not."""
        label = f"{INSTANCE_LABEL}={self._instance}"
        return self._client.containers.list(all=True, filters={"label": label})

    def execute(self, *command: str) -> int:
        """Run a command in the container and return its exit code."""
        assert self._container is not None
        return int(self._container.exec_run(list(command)).exit_code or 0)

    def operate(self, *command: str) -> str:
        """Run a command of `area-supervisor` on this machine, and return what it prints."""
        assert self._files is not None
        server = f"127.0.0.1:{self.grpc_port}"
        chain, key = self._ours.write(self._files / "operator")
        key.chmod(0o600)
        options = ["--ca", str(self._files / "ca.crt"), "--cert", str(chain), "--key", str(key)]
        ran = subprocess.run(
            [_COMMAND, *command, "--server", server, *options],
            env=os.environ | {"COLUMNS": "120", "LANG": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_READY_SECONDS,
            check=False,
        )
        if ran.returncode:
            raise DemoError(f"area-supervisor {command[0]}: {ran.stdout}")
        return ran.stdout

    def log(self) -> str:
        """Its log so far."""
        return self._container.logs().decode() if self._container else ""

    def terminate(self) -> int:
        """Stop it, with the grace of docker-compose.yml. Return the exit code."""
        assert self._container is not None
        self._container.stop(timeout=20)
        return int(self._container.wait()["StatusCode"])

    def start_again(self) -> None:
        """Start the stopped container, and wait until it is SERVING."""
        assert self._container is not None
        self._container.start()
        self._wait_until_serving()

    def __enter__(self) -> Self:
        """Enter, without starting it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the container, even during its creation, its volume, and those of its jobs."""
        self._channel.close()
        ours = self._client.containers.list(all=True, filters={"name": f"^/?{self._name}$"})
        for container in [*ours, *self.jobs_on_the_engine()]:
            with contextlib.suppress(docker.errors.NotFound):
                container.remove(force=True)
        with contextlib.suppress(docker.errors.NotFound):
            self._client.volumes.get(self._name).remove(force=True)

    def _certificates(self, parts: Parts) -> Path:
        """A folder beside the catalogue, with the supervisor's certificate and our authority."""
        self._files = folder = parts.catalog.parent / "tls"
        self._authority.issue("127.0.0.1").write(folder)
        (folder / "ca.crt").write_bytes(self._authority.pem)
        for path in (folder, *folder.iterdir()):  # for the container's root, without capabilities
            path.chmod(0o755 if path.is_dir() else 0o644)
        return folder

    def _environment(self, backend_port: int, otlp_port: int) -> dict[str, str]:
        return {
            "BIND_ADDRESS": "127.0.0.1",
            "GO_ENV": "production",
            "GRPC_CALLBACK_HOST": "127.0.0.1",
            "GRPC_CALLBACK_PORT": str(backend_port),
            "GRPC_SERVER_PORT": str(self.grpc_port),
            "GRPC_TLS_CERT_FILE": f"{_CERTIFICATES}/tls.crt",
            "GRPC_TLS_CLIENT_CA_FILE": f"{_CERTIFICATES}/ca.crt",
            "GRPC_TLS_KEY_FILE": f"{_CERTIFICATES}/tls.key",
            "HISTORY_FILE": f"{_HISTORY}/history.sqlite",
            "JOB_CATALOG": _CATALOG,
            "LOG_FORMAT": "json",
            "METRICS_PORT": str(self.http_port),
            "METRICS_TLS_CERT_FILE": f"{_CERTIFICATES}/tls.crt",
            "METRICS_TLS_KEY_FILE": f"{_CERTIFICATES}/tls.key",
            "REPORT_CRASHES": "true",
            "REPORT_CRASHES_TARGET": f"127.0.0.1:{backend_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "200",  # the default is 5 s
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{otlp_port}",
            "SUPERVISOR_INSTANCE": self._instance,
        }

    def _wait_until_serving(self) -> None:
        assert self._container is not None
        deadline = time.monotonic() + _READY_SECONDS
        while not self._serves():
            self._container.reload()
            if self._container.status == "exited" or time.monotonic() > deadline:
                raise DemoError(f"The supervisor does not start. Its log:\n{tail(self.log())}")
            time.sleep(0.1)

    def _serves(self) -> bool:
        try:
            return self.health() == "SERVING"
        except grpc.RpcError:
            return False
