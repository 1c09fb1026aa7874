"""The whole path: a real worker calls the backend back, and the supervisor runs from its image."""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import grpc
import pytest
from docker.errors import NotFound
from docker.models.containers import Container
from google.protobuf.empty_pb2 import Empty

from examples.backend import Call
from scripts import engines
from scripts.certificates import Authority, Files
from scripts.private_engine import PrivateEngine
from scripts.sbom import SBOM
from service._generated.area_supervisor_pb2_grpc import AreaSupervisorServiceStub
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest
from tests.conftest import Start
from tests.e2e.conftest import SUPERVISOR_IMAGE
from tests.support import catalog, containers
from tests.support.backend import Backend
from tests.support.compose import Compose
from tests.support.line import a_line
from tests.support.socket_proxy import a_socket_proxy
from tests.support.supervised import Supervised, eventually

# The first test waits for the images: a base from Debian's packages, and two installations.
pytestmark = pytest.mark.timeout(900)
_HEALTH_SECONDS = 180  # each probe starts a Python, which takes long on a busy machine

_JOB = "timer-seconds-interval"
_REACTION = "console-send-message"

# To the worker, the child of its container's init.
_SEND = 'import os; os.kill(int(open("/proc/1/task/1/children").read().split()[0]), {number})'
_SECOND = 10**9  # the Engine counts in nanoseconds
_STOP_SECONDS = 15
_USER = "10001:10001"  # whom the image does not know
_GROUP = 4711


@pytest.fixture
def job_catalog(tmp_path: Path, worker_image: str) -> Path:
    path = tmp_path / "callback.toml"
    path.write_text(catalog.example(worker_image))
    return path


@pytest.fixture
def supervised(start: Start, listening: Backend, job_catalog: Path) -> Supervised:
    """A supervisor whose workers find the backend."""
    return start(
        JOB_CATALOG=str(job_catalog),
        GRPC_CALLBACK_HOST="127.0.0.1",
        GRPC_CALLBACK_PORT=str(listening.port),
    )


def _launch(supervised: Supervised, identifier: str, **params: Any) -> Response:
    auth = {"accessToken": "a-token-that-only-the-worker-gets"}
    wanted = {"seconds": 0.2, "workflowStepId": "step-1"} | params
    return supervised.launch(_JOB, identifier, wanted, auth)


def _told(call: Call) -> tuple[str, str, int]:
    return call.method, call.identifier, int(json.loads(call.content)["count"])


# ---------------------------------------------------------------- the worker


def test_a_worker_calls_the_backend_back_until_it_is_killed(
    supervised: Supervised, listening: Backend, docker_client: docker.DockerClient
) -> None:
    identifier = "timer-seconds-interval-0.2"
    assert Response() == _launch(supervised, identifier)
    calls = [listening.next_call() for _ in range(3)]
    assert [("OnAction", identifier, count) for count in (1, 2, 3)] == [_told(c) for c in calls]
    assert "running" == containers.one(docker_client, identifier).status
    assert [identifier] == supervised.running()
    assert Response() == supervised.kill(identifier)
    assert listening.is_quiet(seconds=2)
    assert [] == containers.everything(docker_client)
    assert [] == supervised.running()
    assert 1 == supervised.metric("supervisor_kills_total", job_name=_JOB, outcome="stopped")


def test_a_launch_of_what_runs_does_not_double_the_calls(
    supervised: Supervised, listening: Backend
) -> None:
    for _ in range(3):
        assert Response() == _launch(supervised, "once")
    calls = [listening.next_call() for _ in range(6)]
    assert [("OnAction", "once", count) for count in range(1, 7)] == [_told(c) for c in calls]


def test_workers_call_under_their_own_identifiers_and_a_kill_stops_one_of_them(
    supervised: Supervised, listening: Backend
) -> None:
    for identifier in ("first", "second/with a space"):
        assert Response() == _launch(supervised, identifier)
    seen: set[str] = set()
    while seen != {"first", "second/with a space"}:
        seen.add(listening.next_call().identifier)
    assert Response() == supervised.kill("first")
    while not listening.calls.empty():  # what it told before it was gone
        listening.calls.get_nowait()
    after = [listening.next_call().identifier for _ in range(5)]
    assert ["second/with a space"] * 5 == after


def test_workers_go_on_while_the_supervisor_is_away(
    supervised: Supervised, listening: Backend, docker_client: docker.DockerClient
) -> None:
    assert Response() == _launch(supervised, "lasting")
    listening.next_call()
    assert 0 == supervised.stop(within=_STOP_SECONDS)
    while not listening.calls.empty():
        listening.calls.get_nowait()
    assert ["lasting"] * 3 == [listening.next_call().identifier for _ in range(3)]
    supervised.start()  # a new start removes what the last one launched
    assert listening.is_quiet(seconds=2)
    assert [] == containers.everything(docker_client)


def test_an_upgrade_costs_a_worker_no_beat(supervised: Supervised, listening: Backend) -> None:
    assert Response() == _launch(supervised, "t-1", seconds=1)
    calls = [listening.next_call() for _ in range(2)]
    assert 0 == supervised.stop(within=_STOP_SECONDS)
    supervised.start(SUPERVISOR_ON_START="adopt")
    calls += [listening.next_call() for _ in range(4)]
    assert [("OnAction", "t-1", count) for count in range(1, 7)] == [_told(c) for c in calls]
    assert ["t-1"] == supervised.running()


def test_a_worker_that_cannot_work_tells_the_backend_and_is_counted(
    supervised: Supervised, listening: Backend
) -> None:
    assert Response() == _launch(supervised, "wrong", seconds="soon")
    call = listening.next_call()
    assert ("OnError", "wrong") == (call.method, call.identifier)
    assert "--seconds" in call.content
    eventually(supervised.is_idle)
    assert 1 == supervised.metric("supervisor_exits_total", job_name=_JOB, outcome="error")
    (event,) = supervised.events("job.exited")
    assert (2, "error") == (event["exit_code"], event["outcome"])
    assert any("--seconds" in line for line in event["output"])
    assert Response() == _launch(supervised, "wrong")
    assert "OnAction" == listening.next_call().method


@pytest.mark.parametrize("number", ["SIGKILL", "SIGSEGV"])
def test_the_backend_hears_nothing_of_a_worker_that_is_killed_or_crashes(
    supervised: Supervised,
    listening: Backend,
    docker_client: docker.DockerClient,
    number: str,
) -> None:
    assert Response() == _launch(supervised, "t-1")
    assert "OnAction" == listening.next_call().method
    # Not by the Engine, whose signals the container's init does not all pass on.
    send = _SEND.format(number=signal.Signals[number].value)
    containers.one(docker_client, "t-1").exec_run(["python3", "-c", send])
    eventually(supervised.is_idle, within=30)
    (event,) = supervised.events("job.exited")
    assert (128 + signal.Signals[number], "error") == (event["exit_code"], event["outcome"])
    while not listening.calls.empty():  # what it told before
        assert "OnAction" == listening.next_call().method
    assert listening.is_quiet(seconds=2)


def test_the_backend_hears_nothing_of_a_worker_whose_memory_runs_out(
    start: Start, listening: Backend, job_catalog: Path
) -> None:
    job_catalog.write_text(job_catalog.read_text().replace('"256m"', '"16m"'))
    supervised = start(
        JOB_CATALOG=str(job_catalog),
        GRPC_CALLBACK_HOST="127.0.0.1",
        GRPC_CALLBACK_PORT=str(listening.port),
    )
    assert Response() == _launch(supervised, "t-1")
    eventually(supervised.is_idle, within=60)
    (event,) = supervised.events("job.exited")
    assert "oom" == event["outcome"]
    assert listening.is_quiet(seconds=2)


def test_a_reaction_tells_the_backend_ends_and_is_counted(
    supervised: Supervised, listening: Backend, docker_client: docker.DockerClient
) -> None:
    for message in ("Hello!", "--not-a-key"):
        assert Response() == supervised.launch(_REACTION, "m-1", {"message": message})
        call = listening.next_call()
        assert ("OnReaction", "m-1") == (call.method, call.identifier)
        assert {"characters": len(message)} == json.loads(call.content)
    eventually(supervised.is_idle)
    assert 2 == supervised.metric("supervisor_exits_total", job_name=_REACTION, outcome="success")
    assert [] == containers.everything(docker_client)


def test_a_reaction_that_cannot_be_carried_out_tells_the_backend_and_is_counted(
    supervised: Supervised, listening: Backend
) -> None:
    assert Response() == supervised.launch(_REACTION, "m-1", {"text": "Hello!"})
    call = listening.next_call()
    assert ("OnError", "m-1", "--message: is missing") == (
        call.method,
        call.identifier,
        call.content,
    )
    eventually(supervised.is_idle)
    assert 1 == supervised.metric("supervisor_exits_total", job_name=_REACTION, outcome="error")


# ---------------------------------------------------------------- the supervisor's own image


# The files of TLS in a container.
_TLS = Files(Path("/etc/supervisor/tls/tls.crt"), Path("/etc/supervisor/tls/tls.key"))


class Contained(Supervised):
    """A supervisor in a container of its own image, hardened as docker-compose.yml does it."""

    def __init__(
        self,
        tmp_path: Path,
        client: docker.DockerClient,
        engine: PrivateEngine,
        name: str = "the-supervisor",
    ) -> None:
        super().__init__(tmp_path, {})
        self.name = name
        self._client, self._engine = client, engine
        self._container: Container | None = None

    @property
    def container(self) -> Container:
        assert self._container is not None
        return self._container

    def run(self, job_catalog: Path, backend_port: int, *, probed: bool = False) -> None:
        """Make and start the container, and wait until it is ready."""
        self.make(job_catalog, backend_port, probed=probed)
        self.container.start()
        eventually(self.is_ready, within=60)

    def make(
        self,
        job_catalog: Path,
        backend_port: int,
        socket: str = "/var/run/docker.sock",
        folder: Path | None = None,
        tls: Path | None = None,
        *,
        probed: bool = False,
        **options: Any,
    ) -> None:
        """Make the container, in which the Engine's socket has a path, and do not start it.

        Where there is a folder, that is mounted, for nobody to write to, in place of the socket.
        With `tls`, a folder with certificates, both ports speak TLS. Only if it is `probed`, the
        image's health check runs each second: each run starts a Python.
        """
        self._container = self._client.containers.create(
            SUPERVISOR_IMAGE,
            name=self.name,
            labels={"area.supervisor.serves": "default"},
            network_mode="host",
            volumes=self._volumes(job_catalog, socket, folder, tls),
            environment=self._variables(backend_port, socket, tls),
            healthcheck={
                "interval": _SECOND if probed else 3600 * _SECOND,
                "timeout": 20 * _SECOND,
                "retries": 2,
                "start_period": _SECOND,
            },
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            **options,
        )

    def _volumes(
        self, job_catalog: Path, socket: str, folder: Path | None, tls: Path | None
    ) -> dict[str, dict[str, str]]:
        mounted = {str(self._engine.socket): {"bind": socket, "mode": "rw"}}
        if folder is not None:
            mounted = {str(folder): {"bind": str(Path(socket).parent), "mode": "ro"}}
        if tls is not None:
            mounted |= {str(tls): {"bind": str(_TLS.chain.parent), "mode": "ro"}}
        return mounted | {str(job_catalog): {"bind": "/etc/supervisor/catalog.toml", "mode": "ro"}}

    def _variables(self, backend_port: int, socket: str, tls: Path | None) -> dict[str, str]:
        given = {
            "DOCKER_HOST": f"unix://{socket}",
            "GO_ENV": "production",
            "BIND_ADDRESS": "127.0.0.1",
            "GRPC_SERVER_PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
            "GRPC_CALLBACK_HOST": "127.0.0.1",
            "GRPC_CALLBACK_PORT": str(backend_port),
            "JOB_CATALOG": "catalog.toml",
            "REPORT_CRASHES": "true",
        }
        return given if tls is None else given | _TLS.settings("GRPC") | _TLS.settings("METRICS")


@pytest.fixture
def contained(
    start: Start,
    tmp_path: Path,
    docker_client: docker.DockerClient,
    engine: PrivateEngine,
    supervisor_image: str,
) -> Iterator[Contained]:
    """One that is yet to be run; its container is removed with all others, by `start`."""
    assert callable(start)
    assert SUPERVISOR_IMAGE == supervisor_image
    one = Contained(tmp_path, docker_client, engine)
    with closing(one.channel):
        yield one


@pytest.fixture
def another(
    contained: Contained, tmp_path: Path, docker_client: docker.DockerClient, engine: PrivateEngine
) -> Iterator[Contained]:
    """A second one that is yet to be run."""
    assert contained
    one = Contained(tmp_path, docker_client, engine, "another-supervisor")
    with closing(one.channel):
        yield one


@pytest.fixture
def running(contained: Contained, job_catalog: Path, listening: Backend) -> Contained:
    """One that is SERVING, on the Engine that it runs on itself."""
    contained.run(job_catalog, listening.port)
    return contained


def _health(container: Container) -> str:
    container.reload()
    return str(container.attrs["State"]["Health"]["Status"])


def test_the_image_serves_and_launches_a_worker_that_calls_back(
    running: Contained, listening: Backend, docker_client: docker.DockerClient
) -> None:
    assert "SERVING" == running.health("area_supervisor.AreaSupervisorService")
    assert "SERVING" == running.health("liveness")
    assert (200, "ready\n") == running.http("/readyz")
    assert Response() == _launch(running, "t-1")
    calls = [listening.next_call() for _ in range(2)]
    assert [("OnAction", "t-1", 1), ("OnAction", "t-1", 2)] == [_told(c) for c in calls]
    assert "running" == containers.one(docker_client, "t-1").status
    assert Response() == _launch(running, "t-1")
    assert ["t-1"] == running.running()
    assert 1 == running.metric("supervisor_jobs_running", job_name=_JOB)
    assert 1 == running.metric("supervisor_dedups_total", job_name=_JOB)
    assert Response() == running.kill("t-1")
    assert [running.container] == containers.everything(docker_client)
    assert listening.is_quiet(seconds=1)
    # Its crashes are told to where workers find the backend, which need not be the same for it.
    assert b'"about":"REPORT_CRASHES_TARGET"' in running.container.logs()


def test_sigterm_ends_the_container_with_zero_and_its_jobs_run_on(
    running: Contained, listening: Backend, docker_client: docker.DockerClient
) -> None:
    assert Response() == _launch(running, "t-1")
    container = running.container
    container.stop(timeout=_STOP_SECONDS)  # SIGKILL after that, which would be a 137
    assert 0 == container.wait(timeout=5)["StatusCode"]
    lines = [json.loads(line) for line in container.logs().decode().splitlines()]
    assert "supervisor.stopped" == lines[-1]["event"]
    assert ["t-1"] == containers.live(docker_client)
    assert "t-1" == listening.next_call().identifier
    container.start()  # and a new start of the same container removes what it launched
    eventually(running.is_ready, within=60)
    assert [container] == containers.everything(docker_client)
    assert [] == running.jobs()


@pytest.fixture
def lasting(engine: PrivateEngine) -> Iterator[PrivateEngine]:
    """The Engine, whose containers outlive it for a while."""
    engine.live_restore(on=True)
    yield engine
    engine.start()
    engine.live_restore(on=False)


def test_a_mounted_socket_that_was_made_anew_is_told_and_a_restart_mends_it(
    running: Contained, lasting: PrivateEngine
) -> None:
    lasting.kill()
    eventually(lambda: 503 == running.http("/readyz")[0])
    assert (200, "alive\n") == running.http("/livez")  # it may come back to this very socket
    assert "SERVING" == running.health("liveness")
    lasting.start()
    eventually(lambda: "NOT_SERVING" == running.health("liveness"))
    status, reason = running.http("/readyz")
    assert 503 == status
    assert "the mount of /var/run/docker.sock is of a socket that has been deleted" in reason
    assert (503, reason) == running.http("/livez")
    running.container.restart(timeout=_STOP_SECONDS)
    eventually(running.is_ready, within=60)
    assert (200, "alive\n") == running.http("/livez")
    assert "SERVING" == running.health("liveness")


def test_a_socket_that_was_made_anew_in_a_mounted_folder_is_found(
    contained: Contained, job_catalog: Path, engine: PrivateEngine, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with a_line(folder / "docker.sock", engine.socket) as line:
        contained.make(job_catalog, 1, "/run/engine/docker.sock", folder)
        contained.container.start()
        eventually(contained.is_ready, within=60)
        line.cut()
        eventually(lambda: 503 == contained.http("/readyz")[0])
        assert (200, "alive\n") == contained.http("/livez")
        line.mend()
        eventually(contained.is_ready)


@pytest.fixture
def sockets_group(engine: PrivateEngine) -> Iterator[int]:
    """A group that may use the Engine's socket, as the package of Docker has it."""
    before = engine.socket.stat()
    os.chown(engine.socket, 0, _GROUP)
    engine.socket.chmod(0o660)
    yield _GROUP
    os.chown(engine.socket, before.st_uid, before.st_gid)
    engine.socket.chmod(before.st_mode & 0o777)


def test_the_image_runs_as_an_ordinary_user_in_the_sockets_group(
    contained: Contained, job_catalog: Path, listening: Backend, sockets_group: int
) -> None:
    contained.make(
        job_catalog, listening.port, probed=True, user=_USER, group_add=[str(sockets_group)]
    )
    contained.container.start()
    eventually(contained.is_ready, within=60)
    _works_as_an_ordinary_user(contained, listening)
    if engines.kind() == "Docker":  # what Podman builds has no HEALTHCHECK
        eventually(lambda: "healthy" == _health(contained.container), within=_HEALTH_SECONDS)


def test_without_the_group_an_ordinary_user_is_told_what_is_missing(
    contained: Contained, job_catalog: Path, sockets_group: int
) -> None:
    assert sockets_group
    contained.make(job_catalog, 1, user=_USER)
    contained.container.start()
    eventually(lambda: b"Permission denied" in contained.container.logs(), within=60)
    assert b"the socket is for its owner and its group" in contained.container.logs()


def test_behind_the_proxy_an_ordinary_user_needs_no_socket_of_the_engine(
    contained: Contained,
    job_catalog: Path,
    listening: Backend,
    engine: PrivateEngine,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "engine"
    with a_socket_proxy(folder, engine.socket, group=int(_USER.partition(":")[2])) as proxy:
        folder.chmod(0o755)
        contained.make(job_catalog, listening.port, "/run/engine/docker.sock", folder, user=_USER)
        contained.container.start()
        eventually(contained.is_ready, within=60)
        _works_as_an_ordinary_user(contained, listening)
        mounted = [mount["Source"] for mount in contained.container.attrs["Mounts"]]
        assert {str(folder), str(job_catalog)} == {*mounted}
        assert [] == proxy.refused


def _works_as_an_ordinary_user(contained: Contained, listening: Backend) -> None:
    assert Response() == _launch(contained, "t-1")
    assert "t-1" == listening.next_call().identifier
    assert Response() == contained.kill("t-1")
    contained.container.reload()
    status = Path(f"/proc/{contained.container.attrs['State']['Pid']}/status").read_text()
    assert "Uid:\t10001\t10001\t10001\t10001" in status
    assert "CapEff:\t0000000000000000" in status


def test_beside_a_supervisor_in_a_container_no_other_of_its_name_starts(
    running: Contained, another: Contained, job_catalog: Path, start: Start
) -> None:
    """Be it in a container or not, and whichever container was made first.

    By its label alone: this host's lock goes by the socket's path, which is another one in each.
    """
    container = running.container
    container.stop(timeout=_STOP_SECONDS)
    another.make(job_catalog, 1, "/var/run/another.sock")
    another.container.start()
    eventually(another.is_ready, within=60)
    assert Response() == _launch(another, "t-1")
    container.start()
    assert 1 == container.wait(timeout=60)["StatusCode"]
    outside = start(ready=False)
    assert 1 == outside.ended()
    for log in (container.logs().decode(), outside.log()):
        assert "the container 'another-supervisor' is a supervisor of this name" in log
    start(SUPERVISOR_INSTANCE="another")
    assert ["t-1"] == another.running()


def test_the_images_own_health_check_follows_the_process(
    contained: Contained,
    job_catalog: Path,
    listening: Backend,
    docker_client: docker.DockerClient,
) -> None:
    contained.run(job_catalog, listening.port, probed=True)
    container = contained.container
    command = docker_client.images.get(SUPERVISOR_IMAGE).attrs["Config"]["Healthcheck"]["Test"]
    container.reload()
    assert command == container.attrs["Config"]["Healthcheck"]["Test"]
    eventually(lambda: "healthy" == _health(container), within=_HEALTH_SECONDS)
    container.kill(signal.SIGSTOP)
    try:
        eventually(lambda: "unhealthy" == _health(container), within=_HEALTH_SECONDS)
    finally:
        container.kill(signal.SIGCONT)
    eventually(lambda: "healthy" == _health(container), within=_HEALTH_SECONDS)


def test_the_images_own_health_check_works_with_tls(
    contained: Contained, job_catalog: Path, listening: Backend, tmp_path: Path
) -> None:
    authority = Authority("ours")
    authority.issue("127.0.0.1").write(tmp_path / "tls")
    contained.make(job_catalog, listening.port, tls=tmp_path / "tls", probed=True)
    contained.container.start()
    eventually(lambda: "healthy" == _health(contained.container), within=_HEALTH_SECONDS)
    assert [] == _listed_with_tls(contained, authority)


def _listed_with_tls(contained: Contained, trusts: Authority) -> list[str]:
    """The identifiers of ListJobs, asked for by a client that trusts an authority."""
    credentials = grpc.ssl_channel_credentials(trusts.pem)
    with grpc.secure_channel(f"127.0.0.1:{contained.port}", credentials) as channel:
        stub = AreaSupervisorServiceStub(channel)
        found = stub.ListJobs(Empty(), timeout=60, wait_for_ready=True).jobs
        return [job.identifier for job in found]


def test_the_image_ends_with_one_line_where_a_setting_is_wrong(
    supervisor_image: str, start: Start, docker_client: docker.DockerClient
) -> None:
    assert callable(start)  # it cleans up
    container = docker_client.containers.create(
        supervisor_image, network_mode="host", environment={"GO_ENV": "prod"}
    )
    container.start()
    assert 1 == container.wait(timeout=60)["StatusCode"]
    (line,) = container.logs().decode().splitlines()
    assert "GO_ENV=prod" in line
    assert containers.exists(container)


def test_the_image_holds_nothing_that_only_builds_need(
    supervisor_image: str, start: Start, docker_client: docker.DockerClient
) -> None:
    assert callable(start)
    container = docker_client.containers.create(
        supervisor_image,
        entrypoint=["sh", "-c", "ls /src /opt/build /dist; ls /opt/supervisor/bin"],
        network_mode="none",
    )
    container.start()
    container.wait(timeout=60)
    found = container.logs(stderr=False).decode().split()
    assert "area-supervisor" in found
    assert not {"pip", "proto", "tests"} & set(found)
    with pytest.raises(NotFound):
        container.get_archive("/src")


_PACKAGES = """
from importlib.metadata import distributions
for each in distributions():
    print(f"pkg:pypi/{each.name.lower().replace('_', '-')}@{each.version}")
"""


def test_the_image_has_the_packages_of_the_sbom_and_no_other(
    supervisor_image: str, start: Start, docker_client: docker.DockerClient
) -> None:
    assert callable(start)
    container = docker_client.containers.create(
        supervisor_image,
        entrypoint=["/opt/supervisor/bin/python3", "-c", _PACKAGES],
        network_mode="none",
    )
    container.start()
    container.wait(timeout=60)
    found = container.logs(stderr=False).decode().split()
    ours = [name for name in found if name.startswith("pkg:pypi/area-supervisor@")]
    listed = [component["purl"] for component in json.loads(SBOM.read_text())["components"]]
    assert 1 == len(ours)
    assert sorted(listed) == sorted({*found} - {*ours})


# ---------------------------------------------------------------- the compose file


_OVERRIDE = """\
services:
  supervisor:
    volumes:
      - {catalog}:/etc/supervisor/catalog.toml:ro
      - {tls}:/etc/supervisor/tls:ro
    healthcheck:
      interval: 1s
"""


@pytest.fixture
def compose(
    contained: Contained,
    engine: PrivateEngine,
    job_catalog: Path,
    listening: Backend,
    tmp_path: Path,
) -> Iterator[Callable[..., str]]:
    """Runs a command of Compose on the compose file, with our image under the name it has there.

    There is an empty folder for the files of TLS.
    """
    (tmp_path / "tls").mkdir()
    override = _OVERRIDE.format(catalog=job_catalog, tls=tmp_path / "tls")
    (tmp_path / "override.yml").write_text(override)
    project = Compose(engine, tmp_path)
    variables = "\n".join(
        (
            project.socket,
            "GO_ENV=production",
            "JOB_CATALOG=/etc/supervisor/catalog.toml",
            "PUBLISH_ADDRESS=127.0.0.1",
            f"GRPC_SERVER_PORT={contained.port}",
            f"METRICS_PORT={contained.metrics_port}",
            "GRPC_CALLBACK_HOST=127.0.0.1",
            f"GRPC_CALLBACK_PORT={listening.port}",
        )
    )

    file = ("--file", str(tmp_path / "override.yml"))

    def run(*words: str, **settings: str) -> str:
        more = [f"{name}={value}" for name, value in settings.items()]
        return project.run(*file, *words, variables="\n".join((variables, *more)))

    yield run
    project.down(*file, variables=variables)


@pytest.mark.usefixtures("supervisor_image")
def test_compose_finds_what_is_misspelt_in_its_env_file(
    engine: PrivateEngine, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    (command,) = re.findall(r"^docker compose (run .*)$", page, re.MULTILINE)
    (tmp_path / ".env").write_text("MAX_JOBS=3\nSUPERVISOR_ON_STRAT=adopt\nGO_ENV=production\n")
    words = shlex.split(command.replace("$PWD", str(tmp_path)))
    words.insert(1, "-T")  # there is no terminal
    docker_client.images.get(SUPERVISOR_IMAGE).tag("area-supervisor")
    compose = Compose(engine, tmp_path)
    try:
        said = compose.run(*words, variables=compose.socket, errors=subprocess.STDOUT)
    finally:
        compose.down(variables=compose.socket)
        docker_client.images.remove("area-supervisor")
    for variable, nearest in (
        ("MAX_JOBS", "MAX_RUNNING_JOBS"),
        ("SUPERVISOR_ON_STRAT", "SUPERVISOR_ON_START"),
    ):
        assert re.search(rf"{variable}\b.*{nearest}", said), said


def test_compose_runs_it_and_a_new_container_takes_over_its_jobs_and_its_history(
    contained: Contained,
    compose: Callable[..., str],
    docker_client: docker.DockerClient,
    listening: Backend,
) -> None:
    docker_client.images.get(SUPERVISOR_IMAGE).tag("area-supervisor")
    compose("up", "--detach", "--no-build")
    eventually(contained.is_ready, within=60)
    assert Response() == _launch(contained, "killed")
    assert Response() == contained.kill("killed")
    assert Response() == _launch(contained, "lasting")
    assert "OnAction" == listening.next_call().method
    compose("stop")
    container = docker_client.containers.get("area_supervisor")
    assert 0 == container.attrs["State"]["ExitCode"], container.logs().decode()
    assert ["lasting"] == containers.live(docker_client)
    compose("up", "--detach", "--no-build", "--force-recreate")
    eventually(contained.is_ready, within=60)
    assert container.id != docker_client.containers.get("area_supervisor").id
    assert ["lasting"] == contained.running()
    assert Response() == contained.kill("lasting")
    ended = contained.observer.ListJobs(ListJobsRequest(include="ended"), timeout=10).jobs
    assert ["lasting", "killed"] == [job.identifier for job in ended]
    compose("down")
    assert [] == containers.everything(docker_client)
    docker_client.images.remove("area-supervisor")


def test_compose_runs_it_with_tls_and_its_health_check_is_well(
    contained: Contained,
    compose: Callable[..., str],
    docker_client: docker.DockerClient,
    tmp_path: Path,
) -> None:
    authority = Authority("ours")
    authority.issue("127.0.0.1").write(tmp_path / "tls")
    docker_client.images.get(SUPERVISOR_IMAGE).tag("area-supervisor")
    settings = _TLS.settings("GRPC") | _TLS.settings("METRICS")
    compose("up", "--detach", "--no-build", **settings)
    container = docker_client.containers.get("area_supervisor")
    eventually(lambda: "healthy" == _health(container), within=_HEALTH_SECONDS)
    assert [] == _listed_with_tls(contained, authority)
    compose("down")
    docker_client.images.remove("area-supervisor")
