"""`area-supervisor doctor` on a real Engine: what usually is wrong is made wrong once."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.certificates import Authority
from scripts.private_engine import PrivateEngine
from service.app.engines import runs_in_container
from service.diagnosis.doctor import CHECKS
from tests.conftest import Start
from tests.support import containers, worker
from tests.support.on_call import InContainer
from tests.support.supervised import COMMAND, eventually, free_port, run_command

_CATALOG = f"""
[jobs]
timer = {{ kind = "action", image = "{worker.IMAGE}", memory = "16m" }}
"""
Found = Mapping[str, Any]


class Doctor:
    """Runs the command. What it is given is in order, unless a test says otherwise."""

    def __init__(self, directory: Path, engine: PrivateEngine, backend: int) -> None:
        self.directory = directory
        (directory / "examined.toml").write_text(_CATALOG)
        self.environment = {
            "DOCKER_HOST": engine.host,
            "JOB_CATALOG": str(directory / "examined.toml"),
            "GO_ENV": "production",
            "GRPC_SERVER_PORT": str(free_port()),
            "METRICS_PORT": str(free_port()),
            "GRPC_CALLBACK_PORT": str(backend),
            "SUPERVISOR_INSTANCE": "examined",
        }
        self.code = 0

    def find(self, *arguments: str, container: bool = False, **settings: str) -> list[Found]:
        """All findings, of a run that says all of it in JSON, and mostly runs no container."""
        environment = self.environment | settings
        how = ["--json", "--container" if container else "--no-container", *arguments]
        ended = run_command(self.directory, environment, "doctor", *how)
        self.code = ended.returncode
        assert "Traceback" not in ended.stdout
        found: list[Found] = json.loads(ended.stdout)
        return found

    def wrong(self, *, container: bool = False, **settings: str) -> list[tuple[str, str, str]]:
        """Check, subject and message of each error."""
        told = self.find(container=container, **settings)
        found = [each for each in told if each["status"] == "error"]
        assert int(bool(found)) == self.code
        assert all(each["help"] for each in found), found
        return [(each["check"], each["subject"], each["message"]) for each in found]


@pytest.fixture(scope="module")
def backend() -> Iterator[int]:
    """The port of a backend that takes connections."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=128)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def doctor(engine: PrivateEngine, tmp_path: Path, backend: int) -> Doctor:
    return Doctor(tmp_path, engine, backend)


@pytest.fixture
def nothing_stays(docker_client: docker.DockerClient) -> Iterator[None]:
    """Nothing is on the Engine afterwards that was not there before."""
    before = _all_of(docker_client)
    yield
    assert before == _all_of(docker_client)


def _all_of(client: docker.DockerClient) -> list[list[str]]:
    api = client.api
    listed = [api.containers(all=True), api.images(all=True), api.networks()]
    return [sorted(each["Id"] for each in some) for some in listed]


@pytest.mark.usefixtures("nothing_stays")
def test_where_all_is_well_every_check_says_so(doctor: Doctor) -> None:
    found = doctor.find(container=True)
    assert 0 == doctor.code
    by_check = {each["check"]: each for each in reversed(found)}
    assert {"ok"} == {each["status"] for each in by_check.values()}, found
    assert len(CHECKS) == len(by_check)
    assert "a container reaches it" in by_check["callback"]["message"]
    assert "GiB are free" in by_check["disk"]["message"]
    assert set(by_check["engine"]) == {"check", "status", "subject", "message", "help"}


def test_known_faults_of_the_version_are_warnings_with_what_to_do(doctor: Doctor) -> None:
    warnings = [each for each in doctor.find() if each["status"] == "warning"]
    if "20.10" not in str(doctor.find()):
        return
    assert ["engine"] == [each["check"] for each in warnings]
    assert "moby/moby#46661" in warnings[0]["message"]
    assert "23 or later" in warnings[0]["help"]
    doctor.find("--strict")
    assert 1 == doctor.code


@pytest.mark.usefixtures("nothing_stays")
def test_images_and_networks_that_are_missing(doctor: Doctor) -> None:
    more = 'gone = { kind = "action", image = "no-such-image", network = "no-such-network" }\n'
    (doctor.directory / "examined.toml").write_text(_CATALOG + more)
    image, network = doctor.wrong(container=True)
    assert ("images", "no-such-image") == image[:2]
    assert "is not on the Engine: each launch of gone gets 422" == image[2]
    assert ("networks", "no-such-network") == network[:2]


@pytest.mark.usefixtures("nothing_stays")
def test_a_backend_that_no_job_would_reach(doctor: Doctor) -> None:
    port = free_port()
    (wrong,) = doctor.wrong(container=True, GRPC_CALLBACK_PORT=str(port))
    assert ("callback", f"localhost:{port} from the network host") == wrong[:2]
    assert "a container does not reach it: " in wrong[2]
    assert "Connection refused" in wrong[2]
    (wrong,) = doctor.wrong(container=True, GRPC_CALLBACK_HOST="nowhere.invalid")
    assert "bad address" in wrong[2]


def test_the_callback_is_tried_from_here_if_no_container_can(doctor: Doctor) -> None:
    def callback(*, container: bool = False, **settings: str) -> Found:
        told = doctor.find(container=container, **settings)
        (found,) = (each for each in told if each["check"] == "callback")
        return found

    assert "from this process it is reached" in callback()["message"]
    found = callback(GRPC_CALLBACK_PORT=str(free_port()))
    status = "skipped" if runs_in_container() else "error"  # these tests themselves
    assert (status, True) == (found["status"], "Connection refused" in found["message"])
    job = 'x = { kind = "action", image = "no-such-image", network = "elsewhere" }'
    (doctor.directory / "examined.toml").write_text(f"[jobs]\n{job}")
    found = callback(container=True)
    assert "skipped" == found["status"]
    assert "no image of the catalogue is on the Engine" in found["message"]


def test_a_check_up_that_is_interrupted_leaves_no_container(
    doctor: Doctor, docker_client: docker.DockerClient, nothing_stays: None
) -> None:
    assert nothing_stays is None
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # they fill the backlog: whoever comes now gets no answer
            each.settimeout(0)
            each.connect_ex(("127.0.0.1", port))
        process = subprocess.Popen(
            [COMMAND, "doctor"],
            env={"PATH": os.environ["PATH"]}
            | doctor.environment
            | {"GRPC_CALLBACK_PORT": str(port)},
            cwd=doctor.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        eventually(lambda: docker_client.containers.list(filters={"name": "doctor"}))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=20)
        for each in waiting:
            each.close()
    assert "Traceback" not in output


def test_ports_that_others_have(doctor: Doctor) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        taken = str(other.getsockname()[1])
        (wrong,) = doctor.wrong(GRPC_SERVER_PORT=taken)
        assert ("ports", f"GRPC_SERVER_PORT={taken}", "another program has it") == wrong


def test_an_address_that_is_not_of_this_host(doctor: Doctor) -> None:
    wrong = doctor.wrong(BIND_ADDRESS="192.0.2.1")
    assert {"ports"} == {each[0] for each in wrong}
    assert "192.0.2.1: cannot be bound: Cannot assign requested address" == wrong[0][2]


def test_beside_a_running_supervisor(
    doctor: Doctor, start: Start, docker_client: docker.DockerClient
) -> None:
    """Its ports, its lock and its jobs are as they should be."""
    running = start(SUPERVISOR_INSTANCE="examined")
    running.launch("timer", "timer-1")
    ports = {"GRPC_SERVER_PORT": str(running.port), "METRICS_PORT": str(running.metrics_port)}
    before = running.log()
    assert [] == doctor.wrong(container=False, **ports)
    found = {f["check"]: f for f in doctor.find(container=False, **ports)}
    assert "one of the instance examined runs on this host" == found["supervisor"]["message"]
    assert "a running supervisor has it" == found["ports"]["message"]
    assert "1 of them live" in found["leftovers"]["message"]
    assert ["timer-1"] == running.running()
    assert 1 == len(docker_client.containers.list(all=True))
    assert {"timer-1"} <= {*running.running()}
    new = running.log().removeprefix(before)
    assert '"level": "error"' not in new.replace('":"', '": "')


def test_inside_of_the_supervisors_own_container(
    doctor: Doctor, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    """It runs in the supervisor's image, and sees the Engine's disk through another container."""
    environment = {k: v for k, v in doctor.environment.items() if not k.endswith("R_PORT")}
    del environment["METRICS_PORT"]
    with InContainer(tmp_path, environment, docker_client) as running:
        running.launch("timer", "timer-1")
        ended = running.container.exec_run([COMMAND, "doctor", "--json"])
        containers.remove_everything(docker_client)
    assert isinstance(ended.output, bytes)
    found = {each["check"]: each for each in reversed(json.loads(ended.output))}
    assert (0, {"ok"}) == (ended.exit_code, {each["status"] for each in found.values()}), found
    assert "a running supervisor has it" == found["ports"]["message"]
    assert f"(with {worker.IMAGE})" in found["callback"]["message"]
    assert "GiB are free" in found["disk"]["message"]
    assert "1 of them live" in found["leftovers"]["message"]


def test_what_a_run_before_has_left(
    doctor: Doctor, start: Start, docker_client: docker.DockerClient
) -> None:
    assert callable(start)  # which clears up
    labels = {"area.supervisor.instance": "examined"}
    make = docker_client.containers.create
    orphan = make(worker.IMAGE, ["true"], name="orphan", labels=labels)
    run = docker_client.containers.run
    run(worker.IMAGE, ["sleep", "60"], name="alone", labels=labels, detach=True, network="host")
    assert [] == doctor.wrong(ORPHAN_GRACE_SECONDS="600")
    wrong = doctor.wrong(ORPHAN_GRACE_SECONDS="0")
    assert [("leftovers", "", "1 containers belong to no job: orphan")] == wrong
    orphan.rename(f"orphan.removing-{str(orphan.id)[:12]}")
    (aside,) = doctor.wrong(ORPHAN_GRACE_SECONDS="0")
    assert aside[2].startswith("1 containers cannot be removed: orphan.removing-")
    (alone,) = (f for f in doctor.find() if f["status"] == "warning" and f["check"] == "leftovers")
    assert "1 jobs run without a supervisor: alone" == alone["message"]
    assert "ends them" in alone["help"]


def test_certificates(doctor: Doctor) -> None:
    authority = Authority("ours")

    def found(lifetime: tuple[float, float], **more: str) -> set[tuple[str, str]]:
        files = authority.issue("localhost", lifetime=lifetime).write(doctor.directory)
        settings = {**files.settings(), **files.settings("METRICS"), **more}
        every = doctor.find(container=False, **settings)
        wanted = [each for each in every if each["check"] == "certificates"]
        return {(each["status"], each["message"].partition(": ")[0]) for each in wanted}

    assert {("ok", "its certificate is valid for 30 days")} == found((-1, 30))
    asked = doctor.directory / "clients.crt"
    asked.write_bytes(Authority("of clients", lifetime=(-30, 1)).pem)
    assert {
        ("warning", "its certificate expires soon"),
        ("warning", "an authority of its clients expires soon"),
    } == found((-30, 1), GRPC_TLS_CLIENT_CA_FILE=str(asked))


@pytest.mark.parametrize(
    ("lifetime", "words"), [((-30, -1), "expired"), ((1, 30), "not yet valid")]
)
def test_certificates_of_another_time(
    doctor: Doctor, lifetime: tuple[float, float], words: str
) -> None:
    files = Authority("ours").issue("localhost", lifetime=lifetime).write(doctor.directory)
    (wrong,) = doctor.wrong(container=False, **files.settings())
    assert ("certificates", True) == (wrong[0], words in wrong[2]), wrong


def test_a_collector_that_is_away(doctor: Doctor, backend: int) -> None:
    assert [] == doctor.wrong(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{backend}")
    port = free_port()
    for endpoint in (f"http://127.0.0.1:{port}", f"127.0.0.1:{port}"):
        wrong = doctor.wrong(
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_HEADERS="authorization=s3cret"
        )
        assert [("otlp", "", f"127.0.0.1:{port}: Connection refused")] == wrong


def test_a_history_that_cannot_be_kept_and_a_backend_that_cannot_be_told(
    doctor: Doctor, tmp_path: Path
) -> None:
    file = tmp_path / "history.db"
    assert [] == doctor.wrong(HISTORY_FILE=str(file))
    assert not file.exists()

    def fault(path: Path) -> str:
        (wrong,) = doctor.wrong(HISTORY_FILE=str(path))
        assert "history" == wrong[0]
        return wrong[2].partition("cannot be used (")[2].partition(")")[0]

    assert "no_folder" == fault(tmp_path / "none" / "history.db")
    file.write_bytes(b"SQLite format 3\0" + bytes(44) + (99).to_bytes(4, "big") + bytes(36))
    assert "newer" == fault(file)
    file.write_text("something else")
    assert "broken" == fault(file)
    assert "foreign" == fault(tmp_path)
    target = f"127.0.0.1:{free_port()}"
    (wrong,) = doctor.wrong(REPORT_CRASHES="true", REPORT_CRASHES_TARGET=target)
    assert ("reports", True) == (wrong[0], "Connection refused" in wrong[2])


def test_an_engine_that_is_not_there(doctor: Doctor, tmp_path: Path) -> None:
    wrong = doctor.wrong(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert ["socket", "engine"] == [each[0] for each in wrong]
    (tmp_path / "folder.sock").mkdir()  # as a mount of a missing socket makes one
    wrong = doctor.wrong(DOCKER_HOST=f"unix://{tmp_path}/folder.sock")
    assert "is not a socket" in wrong[0][2]
    secret = f"tcp://user:s3cret@127.0.0.1:{free_port()}"
    found = doctor.find(DOCKER_HOST=secret)
    assert (1, False) == (doctor.code, "s3cret" in str(found))


def test_a_socket_that_the_user_may_not_use(doctor: Doctor, engine: PrivateEngine) -> None:
    mode = engine.socket.stat().st_mode
    engine.socket.chmod(0)
    try:
        ended = subprocess.run(
            ["setpriv", "--bounding-set=-all", COMMAND, "doctor"],  # root, without its rights
            env={"PATH": os.environ["PATH"]} | doctor.environment,
            cwd=doctor.directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        engine.socket.chmod(mode)
    assert 1 == ended.returncode, ended.stderr
    assert "the user 0 may not use it; add the user to the group" in ended.stdout


def test_an_engine_that_hangs(doctor: Doctor, fragile: PrivateEngine) -> None:
    fragile.freeze_containerd()
    wrong = doctor.wrong()
    fragile.thaw()
    assert ["engine"] == [each[0] for each in wrong]
    assert "it answers pings, and nothing else" in wrong[0][2]
    fragile.freeze()
    began = time.monotonic()
    wrong = doctor.wrong()
    assert time.monotonic() - began < 30
    assert ["engine"] == [each[0] for each in wrong]
    assert "took too long" in wrong[0][2]


def test_lines_for_people(doctor: Doctor) -> None:
    environment = doctor.environment | {"GRPC_SERVER_PRT": "1", "GO_ENV": "production"}
    ended = run_command(doctor.directory, environment, "doctor", "--no-container")
    lines = ended.stdout.splitlines()
    assert "warning  settings      GRPC_SERVER_PRT: is no setting" in lines[0]
    assert "the nearest is GRPC_SERVER_PORT" in lines[0]
    assert "\x1b" not in ended.stdout
    wrong = run_command(doctor.directory, environment | {"GO_ENV": "prod\x1b[2J"}, "doctor")
    assert wrong.stdout.startswith("error    settings      GO_ENV=")
    assert "\x1b" not in wrong.stdout
    assert 1 == wrong.returncode
