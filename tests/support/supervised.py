"""The supervisor as its users meet it: a process, a port, a log."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from scripts.ports import free_port
from service._generated.area_supervisor_pb2 import Job, JobId
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import AuthenticatedJobData, Response
from service._generated.supervisor.v1.observer_pb2_grpc import JobObserverStub
from tests.support import swarm

__all__ = ["Scrape", "Supervised", "T", "eventually", "free_port", "run_command", "struct"]

T = TypeVar("T")

COMMAND = str(Path(sys.executable).with_name("area-supervisor"))
_START_SECONDS = 30.0
# The log is written a little later than what it tells of: it is read once it has not grown for so
# long, or if it always grows, after so long (seconds).
_QUIET, _SETTLED = 0.1, 2.0
# gRPC would wait for a second and more until it looks again whether a process that starts listens.
_AGAIN_SOON = [(f"grpc.{which}_reconnect_backoff_ms", 50) for which in ("initial", "min", "max")]


def eventually(check: Callable[[], T], *, within: float = 20.0) -> T:
    """What a check returns once it is true; AssertionError if that takes too long (seconds)."""
    deadline = time.monotonic() + within
    while not (result := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {result!r}")
        time.sleep(0.02)
    return result


def struct(values: Mapping[str, Any]) -> Struct:
    """A Struct of plain values."""
    message = Struct()
    message.update(dict(values))
    return message


def launch_request(
    name: str,
    identifier: str,
    params: Mapping[str, Any] | None = None,
    auth: Mapping[str, Any] | None = None,
) -> AuthenticatedJobData:
    """What LaunchJob is asked with, of plain values."""
    return AuthenticatedJobData(
        name=name,
        identifier=identifier,
        params=struct(params or {}),
        auth=struct(auth) if auth is not None else None,
    )


def run_command(
    directory: Path, environment: Mapping[str, str], *arguments: str, within: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a command of the supervisor's to its end, in a directory and an environment.

    Without a DOCKER_HOST it finds no Engine: the machine's own is nothing for tests.
    """
    harmless = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "BIND_ADDRESS": "127.0.0.1"}
    return subprocess.run(
        [COMMAND, *arguments],
        env={"PATH": os.environ["PATH"]} | harmless | dict(environment),
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=within,
        check=False,
    )


def after(first: str, *command: str) -> Sequence[str]:
    """The command, in a process that runs some Python first, with `os`, `resource`, `signal`.

    Not Popen's `preexec_fn`, which forks this process: gRPC's threads in it may break the child.
    """
    lines = [
        "import os, resource, signal, sys",
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",  # Python ignores both,
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)",  # and what it becomes would, too
        first,
        "os.execv(sys.argv[1], sys.argv[1:])",
    ]
    return [sys.executable, "-IS", "-c", "\n".join(lines), *command]


class Supervised:
    """A supervisor in a process of its own, with clients for all that it offers."""

    def __init__(self, directory: Path, environment: Mapping[str, str], **popen: Any) -> None:
        """`popen` is for `subprocess.Popen`; without a `stdout`, a file has what is printed.

        Its `first` is what the process runs before it is a supervisor, see `after`.
        """
        self._first = popen.pop("first", "")
        self.popen = popen
        self.port, self.metrics_port = free_port(), free_port()
        self.log_file = directory / f"supervisor-{self.port}.log"
        self._directory = directory
        self._environment = {
            "PATH": os.environ["PATH"],
            "GRPC_SERVER_PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
            "BIND_ADDRESS": "127.0.0.1",
            "GO_ENV": "production",
            "LOG_LEVEL": "debug",
        }
        self._environment |= swarm.settings() | dict(environment)
        self.process: subprocess.Popen[bytes] | None = None
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", _AGAIN_SOON)
        self.stub = AreaSupervisorServiceStub(self.channel)
        self.observer = JobObserverStub(self.channel)
        self.health_stub = HealthStub(self.channel)

    def start(self, *, ready: bool = True, **environment: str) -> Self:
        """Start the process, with other settings or as before; with `ready`, wait for SERVING."""
        self._environment |= environment
        with self.log_file.open("ab") as log:
            streams: Any = {"stdout": log, "stderr": subprocess.STDOUT} | self.popen
            self.process = subprocess.Popen(
                after(self._first, COMMAND, "serve") if self._first else [COMMAND, "serve"],
                env=self._environment,
                cwd=self._directory,
                **streams,
            )
        if ready:
            eventually(self.is_ready, within=_START_SECONDS)
        return self

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process is not None
        return self.process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM, *, within: float = 20.0) -> int:
        """Signal the process and wait for its end; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(within)

    def ended(self, *, within: float = 20.0) -> int:
        """The exit code of a process that ends by itself."""
        assert self.process is not None
        return self.process.wait(within)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop(signal.SIGKILL)
        self.channel.close()

    def launch(
        self,
        name: str,
        identifier: str,
        params: Mapping[str, Any] | None = None,
        auth: Mapping[str, Any] | None = None,
        **call: Any,
    ) -> Response:
        """LaunchJob with plain values; `call` goes to the stub (timeout, metadata)."""
        return self.stub.LaunchJob(
            launch_request(name, identifier, params, auth), **({"timeout": 60} | call)
        )

    def kill(self, identifier: str) -> Response:
        """KillJob."""
        return self.stub.KillJob(JobId(identifier=identifier), timeout=60)

    def kill_all(self) -> Response:
        """KillAllJobs."""
        return self.stub.KillAllJobs(Empty(), timeout=60)

    def jobs(self) -> list[Job]:
        """ListJobs."""
        return list(self.stub.ListJobs(Empty(), timeout=10).jobs)

    def running(self) -> list[str]:
        """The identifiers of ListJobs, sorted."""
        return sorted(job.identifier for job in self.jobs())

    def has_only(self, *identifiers: str) -> bool:
        """Whether these are all jobs, and none that has ended is still to be cleared away."""
        listed = sorted(identifiers) == self.running()
        return listed and len(identifiers) == self.metric("supervisor_jobs")

    def is_idle(self) -> bool:
        """Whether there is no job."""
        return self.has_only()

    def health(self, service: str = "") -> str:
        """The health of a service in a word."""
        check = self.health_stub.Check  # type: ignore[attr-defined]
        answer = check(HealthCheckRequest(service=service), timeout=5)
        return HealthCheckResponse.ServingStatus.Name(answer.status)

    def is_ready(self) -> bool:
        """Whether the health service says SERVING."""
        try:
            return self.health() == "SERVING"
        except grpc.RpcError:
            assert self.process is None or self.process.poll() is None, self.log()
            return False

    def http(self, path: str) -> tuple[int, str]:
        """Status and body of a page of the HTTP endpoint."""
        try:
            with urlopen(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def scrape(self) -> "Scrape":
        """All metrics, as they are at this moment."""
        return Scrape(self.http("/metrics")[1])

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return self.scrape().sum(name, **labels)

    def calls(self, method: str) -> float:
        """How many calls of one of our methods have begun."""
        name = f"area_supervisor.AreaSupervisorService/{method}"
        return self.metric("grpc_server_call_started_total", grpc_method=name)

    def log(self) -> str:
        """Everything that the process has printed, a moment ago at the latest."""
        text = self.log_file.read_text()
        deadline = time.monotonic() + _SETTLED
        while self.process is not None and self.process.poll() is None:
            time.sleep(_QUIET)
            before, text = text, self.log_file.read_text()
            if text == before or time.monotonic() > deadline:
                break
        return text

    def lines(self) -> list[str]:
        """The lines of the log. JSON may hold what `splitlines` takes for the end of one."""
        return self.log().removesuffix("\n").split("\n")

    def events(self, name: str) -> Iterator[dict[str, Any]]:
        """The log's events of one name."""
        for line in self.lines():
            if line.startswith("{") and (event := json.loads(line))["event"] == name:
                yield event


def refusal(supervised: Supervised) -> str:
    """The one line of a start that is refused."""
    code = supervised.ended()
    lines = supervised.lines()
    assert (1, 1) == (code, len(lines)), supervised.log()
    return lines[0]


class Scrape:
    """The metrics of one moment."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()

    def of(self, name: str) -> list[Sample]:
        """The samples of a metric. To read those of all others takes a tenth of a second."""
        named = "\n".join(
            line for line in self._lines if line.startswith((f"{name}{{", f"{name} "))
        )
        families = text_string_to_metric_families(f"{named}\n")
        return [sample for family in families for sample in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels."""
        return sum(each.value for each in self.of(name) if labels.items() <= each.labels.items())
