"""The start: settings, ports, what earlier runs left, and an Engine that is not there yet."""

import json
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import grpc
import pytest
from docker.models.containers import Container

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from service._generated.supervisor.v1.observer_pb2 import ListJobsRequest
from service.jobs.catalog_file import PACKAGED
from tests.conftest import Start
from tests.support import containers
from tests.support.stubborn import a_stubborn_one
from tests.support.supervised import Supervised, eventually, free_port, refusal, run_command


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Another program that listens on a port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


# ---------------------------------------------------------------- what earlier runs left


def test_it_removes_what_this_instance_has_launched_and_nothing_else(
    start: Start, docker_client: docker.DockerClient
) -> None:
    strangers = [
        containers.stranger(docker_client, "stranger"),
        containers.stranger(docker_client, "labelled", {"app": "other"}),
        containers.stranger(docker_client, "other", containers.labels_of_another("other")),
        containers.stranger(docker_client, "default-2", containers.labels_of_another("default-2")),
    ]
    ours = [
        containers.stranger(docker_client, "live", containers.labels_of_another("default")),
        containers.stranger(docker_client, "exited", containers.labels_of_another("default")),
        containers.stranger(docker_client, "paused", containers.labels_of_another("default")),
        docker_client.containers.create(
            "supervisor-test-worker", labels=containers.labels_of_another("default")
        ),
        # Of another version of the supervisor, which wrote fewer labels.
        containers.stranger(docker_client, "bare", {"area.supervisor.instance": "default"}),
    ]
    ours[1].kill()
    ours[2].pause()
    supervised = start()
    assert {c.id for c in strangers} == {c.id for c in containers.everything(docker_client)}
    assert all(map(containers.runs, strangers))
    assert [] == supervised.jobs()
    assert 5 == supervised.metric("supervisor_orphans_removed_total")


def test_after_a_sigkill_a_new_start_leaves_only_strangers(
    start: Start, docker_client: docker.DockerClient
) -> None:
    stranger = containers.stranger(docker_client, "stranger")
    supervised = start()
    for number in range(4):
        assert Response() == supervised.launch("timer", f"t-{number}")
    with ThreadPoolExecutor(8) as pool:  # and some that are under way
        for number in range(4, 12):
            pool.submit(supervised.launch, "timer", f"t-{number}", timeout=5)
        eventually(lambda: len(containers.live(docker_client)) >= 5)
        assert -signal.SIGKILL == supervised.stop(signal.SIGKILL)
    assert len(containers.live(docker_client)) >= 4  # the jobs live on without it
    supervised.start()
    assert not {"t-0", "t-1", "t-2", "t-3"} & {*containers.live(docker_client)}
    # On a busy machine the Engine may still make and start what the other process has asked for.
    eventually(lambda: _only_jobs_run_beside(stranger, supervised, docker_client))
    assert not {"t-0", "t-1", "t-2", "t-3"} & {*supervised.running()}
    assert Response() == supervised.launch("timer", "t-1")


def _only_jobs_run_beside(
    stranger: Container, supervised: Supervised, client: docker.DockerClient
) -> bool:
    jobs = supervised.observer.ListJobs(ListJobsRequest(), timeout=10).jobs
    running = {container.id for container in client.containers.list(ignore_removed=True)}
    return running == {stranger.id, *(job.container_id for job in jobs)}


def test_a_stop_and_a_start_of_development_leave_only_strangers(
    start: Start, docker_client: docker.DockerClient
) -> None:
    stranger = containers.stranger(docker_client, "stranger")
    supervised = start(GO_ENV="development")
    assert Response() == supervised.launch("timer", "exited", {"exit": 0})
    assert Response() == supervised.launch("timer", "live")
    assert 0 == supervised.stop()
    assert 3 == len(containers.everything(docker_client))
    supervised.start()
    assert [stranger.id] == [c.id for c in containers.everything(docker_client)]


def test_requests_that_arrive_while_it_cleans_up_wait_and_succeed(
    start: Start, docker_client: docker.DockerClient
) -> None:
    first = start(JOB_STOP_GRACE_SECONDS="3")
    a_stubborn_one(first, docker_client)
    assert Response() == first.launch("timer", "again")
    assert -signal.SIGKILL == first.stop(signal.SIGKILL)
    first.start(ready=False)
    eventually(lambda: "NOT_SERVING" == _health_or_nothing(first))
    with ThreadPoolExecutor(4) as pool:
        launch = pool.submit(first.launch, "timer", "again")
        kill = pool.submit(first.kill, "stubborn")
        kill_all = pool.submit(first.kill_all)
        with pytest.raises(grpc.RpcError) as raised:
            first.jobs()
        assert grpc.StatusCode.UNAVAILABLE == raised.value.code()
        assert "NOT_SERVING" == first.health()
        assert 503 == first.http("/readyz")[0]
        assert Response() == launch.result()
        assert Response() == kill.result()
        assert Response() == kill_all.result()
    assert "SERVING" == first.health()
    eventually(lambda: first.running() == containers.live(docker_client))


def _health_or_nothing(supervised: Supervised) -> str:
    try:
        return supervised.health()
    except grpc.RpcError:
        return ""


# ---------------------------------------------------------------- an Engine that is not there yet


def test_without_an_engine_it_serves_and_keeps_trying(
    start: Start, engine: PrivateEngine, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    path = tmp_path / "docker.sock"
    supervised = start(ready=False, DOCKER_HOST=f"unix://{path}")
    eventually(lambda: "NOT_SERVING" == _health_or_nothing(supervised))
    assert "SERVING" == supervised.health("liveness")
    assert "NOT_SERVING" == supervised.health("area_supervisor.AreaSupervisorService")
    assert (200, "alive\n") == supervised.http("/livez")
    status, reason = supervised.http("/readyz")
    assert 503 == status
    assert "Docker Engine" in reason
    assert 0 == supervised.metric("supervisor_engine_up")
    with pytest.raises(grpc.RpcError) as raised:
        supervised.jobs()
    assert grpc.StatusCode.UNAVAILABLE == raised.value.code()
    with ThreadPoolExecutor(4) as pool:
        launch = pool.submit(supervised.launch, "timer", "early")
        dedup = pool.submit(supervised.launch, "timer", "early")
        kill = pool.submit(supervised.kill, "something")
        kill_all = pool.submit(supervised.kill_all)
        eventually(lambda: 2 == supervised.calls("LaunchJob"))
        eventually(lambda: 1 == supervised.calls("KillJob") == supervised.calls("KillAllJobs"))
        path.symlink_to(engine.socket)
        results = [call.result() for call in (launch, dedup, kill, kill_all)]
    assert [Response()] * 4 == results
    assert "SERVING" == supervised.health()
    assert (200, "ready\n") == supervised.http("/readyz")
    assert 1 == supervised.metric("supervisor_engine_up")
    eventually(lambda: supervised.running() == containers.live(docker_client))


def test_requests_wait_thirty_seconds_for_the_first_listing_and_get_503(
    start: Start, tmp_path: Path
) -> None:
    supervised = start(ready=False, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    eventually(lambda: "NOT_SERVING" == _health_or_nothing(supervised))
    with pytest.raises(grpc.RpcError) as raised:
        supervised.launch("timer", "impatient", timeout=1)
    assert grpc.StatusCode.DEADLINE_EXCEEDED == raised.value.code()
    with ThreadPoolExecutor(3) as pool:
        calls = [
            pool.submit(supervised.launch, "timer", "t-1"),
            pool.submit(supervised.kill, "t-1"),
            pool.submit(supervised.kill_all),
        ]
        with pytest.raises(TimeoutError):
            calls[0].result(timeout=20)
        answers = [call.result(timeout=20) for call in calls]
    assert [503] * 3 == [answer.error.code for answer in answers]
    assert all("Docker Engine" in answer.error.message for answer in answers)
    # Half a minute of trying, three times a second, is not worth a line each.
    assert len(supervised.lines()) < 30
    assert 0 == supervised.stop(within=15)


def test_sigterm_ends_it_while_it_waits_for_the_engine(start: Start, tmp_path: Path) -> None:
    supervised = start(ready=False, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    eventually(lambda: "NOT_SERVING" == _health_or_nothing(supervised))
    with ThreadPoolExecutor(1) as pool:
        launch = pool.submit(supervised.launch, "timer", "t-1")
        eventually(lambda: 1 == supervised.calls("LaunchJob"))
        assert 0 == supervised.stop(within=15)
        assert 503 == launch.result().error.code


# ---------------------------------------------------------------- ports


@pytest.mark.parametrize("variable", ["GRPC_SERVER_PORT", "METRICS_PORT"])
def test_a_port_that_is_taken_ends_the_start_before_any_container_is_touched(
    start: Start, docker_client: docker.DockerClient, listener: socket.socket, variable: str
) -> None:
    ours = containers.stranger(docker_client, "ours", containers.labels_of_another("default"))
    port = str(listener.getsockname()[1])
    line = refusal(start(ready=False, **{variable: port}))
    assert f"{variable}={port}" in line
    assert containers.runs(ours)


def test_a_second_supervisor_does_not_disturb_the_first(
    start: Start, docker_client: docker.DockerClient
) -> None:
    first = start()
    assert Response() == first.launch("timer", "t-1")
    line = refusal(start(ready=False, GRPC_SERVER_PORT=str(first.port)))
    assert f"GRPC_SERVER_PORT={first.port}" in line
    line = refusal(start(ready=False, METRICS_PORT=str(first.metrics_port)))
    assert f"METRICS_PORT={first.metrics_port}" in line
    assert ["t-1"] == first.running()
    assert ["t-1"] == containers.live(docker_client)


def test_both_ports_the_same_is_one_too_many(start: Start) -> None:
    port = str(free_port())
    line = refusal(start(ready=False, GRPC_SERVER_PORT=port, METRICS_PORT=port))
    assert f"METRICS_PORT={port}" in line


def test_all_interfaces_are_the_default(start: Start) -> None:
    supervised = start(BIND_ADDRESS="")
    for address in ("127.0.0.1", "127.0.0.2"):
        for port in (supervised.port, supervised.metrics_port):
            socket.create_connection((address, port), 5).close()


def test_a_bind_address_narrows_both_ports_down(start: Start) -> None:
    supervised = start(BIND_ADDRESS="127.0.0.1")
    for port in (supervised.port, supervised.metrics_port):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), 5)


@pytest.mark.parametrize("address", ["192.0.2.1", "fe80::1", "2001:db8::1"])
def test_an_address_of_another_host_is_blamed_and_not_the_port(
    tmp_path: Path, address: str
) -> None:
    ended = run_command(tmp_path, {"BIND_ADDRESS": address}, "serve")
    (line,) = ended.stdout.splitlines()
    assert line.startswith(f"area-supervisor: BIND_ADDRESS={address}: cannot be bound (")
    assert line.endswith("; allowed is an address of this host")


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GRPC_SERVER_PORT", "1\n2"),
        ("GO_ENV", "prod"),
        *(("DOCKER_HOST", value) for value in ("ftp://engine", "unix://", "tcp://")),
    ],
)
def test_a_wrong_setting_ends_the_start_with_one_line(
    tmp_path: Path, variable: str, value: str
) -> None:
    ended = run_command(tmp_path, {variable: value}, "serve")
    lines = ended.stdout.splitlines()
    assert (1, 1) == (ended.returncode, len(lines)), ended.stdout
    assert variable in lines[0]
    assert (value if value.isprintable() else repr(value)) in lines[0]
    assert "allowed" in lines[0]


def test_every_wrong_setting_is_told_at_once(tmp_path: Path) -> None:
    ended = run_command(tmp_path, {"GO_ENV": "prod", "METRICS_PORT": "x"}, "serve")
    (line,) = ended.stdout.splitlines()
    assert "GO_ENV=prod: allowed is production or development" in line
    assert "METRICS_PORT=x: allowed is a whole number from 1 to 65535" in line


@pytest.mark.parametrize("path", ["/does/not/exist", "/proc/self/mem"])
def test_tls_files_that_are_not_there_end_the_start_with_one_line(
    tmp_path: Path, path: str
) -> None:
    settings = {
        "DOCKER_HOST": "tcp://127.0.0.1:2376",
        "DOCKER_TLS_VERIFY": "1",
        "DOCKER_CERT_PATH": path,
    }
    ended = run_command(tmp_path, settings, "serve")
    (line,) = ended.stdout.splitlines()
    assert 1 == ended.returncode
    assert f"DOCKER_CERT_PATH={path}" in line


_WRONG_CATALOGS = {
    "[jobs\n": ("line 1",),
    "": ("jobs",),
    "[jobs]\ntimer = { kind = 'action', imgae = 'x' }": ("jobs.timer.imgae",),
}


@pytest.mark.parametrize("text", _WRONG_CATALOGS)
def test_a_catalogue_with_an_error_ends_the_start_with_file_and_place(
    start: Start, tmp_path: Path, docker_client: docker.DockerClient, text: str
) -> None:
    ours = docker_client.containers.create(
        "supervisor-test-worker", labels=containers.labels_of_another("default")
    )
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    line = refusal(start(ready=False, JOB_CATALOG=str(path)))
    for word in (str(path), *_WRONG_CATALOGS[text]):
        assert word in line
    assert containers.exists(ours)


def test_a_catalogue_that_cannot_be_read_ends_the_start_with_one_line(
    start: Start, tmp_path: Path
) -> None:
    latin = tmp_path / "latin.toml"
    latin.write_bytes("[jobs]\n# é".encode("latin-1"))
    for path in (tmp_path / "none.toml", tmp_path, latin):
        line = refusal(start(ready=False, JOB_CATALOG=str(path)))
        assert f"JOB_CATALOG={path}" in line


def test_the_packaged_catalogue_is_the_default(start: Start) -> None:
    supervised = start(JOB_CATALOG="")
    assert 422 == supervised.launch("github-close-issue", "x").error.code
    assert Response() == supervised.launch("area-on-action", "x")
    started = next(supervised.events("supervisor.started"))
    assert (68, str(PACKAGED)) == (started["jobs"], started["catalog"])


def test_a_file_of_settings_in_the_working_directory_is_read(
    start: Start, tmp_path: Path, docker_client: docker.DockerClient, engine: PrivateEngine
) -> None:
    (tmp_path / ".env").write_text(
        f"""# a comment
DOCKER_HOST={engine.host}
GRPC_CALLBACK_HOST="backend.example"
GRPC_CALLBACK_PORT=1234
SUPERVISOR_INSTANCE=from-file
GO_ENV=development
LOG_LEVEL=
"""
    )
    supervised = start(DOCKER_HOST="", GRPC_CALLBACK_HOST="", GO_ENV="production", LOG_LEVEL="")
    assert Response() == supervised.launch("timer", "t-1")
    container = containers.one(docker_client, "t-1")
    assert ["--target", "backend.example:1234"] == containers.arguments(container)[:2]
    assert "from-file" == container.labels["area.supervisor.instance"]
    event = next(supervised.events("supervisor.started"))
    assert "production" == event["mode"]  # the environment comes first
    assert ("remove", str(tmp_path / "catalog.toml")) == (event["on_start"], event["catalog"])
    assert "info" == event["level"]
    assert event["max_running_jobs"] is None


def test_the_probe_does_not_take_a_proxy_for_itself(start: Start, tmp_path: Path) -> None:
    supervised = start()
    proxied = {
        "GRPC_SERVER_PORT": str(supervised.port),
        "http_proxy": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "grpc_proxy": "http://127.0.0.1:1",
    }
    ended = run_command(tmp_path, proxied, "health")
    assert (0, "SERVING\n") == (ended.returncode, ended.stdout)


def test_a_misspelt_setting_is_told_before_it_takes_effect(
    start: Start, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    """It does nothing: here jobs are removed that somebody wanted to keep."""
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert 0 == supervised.stop()
    (tmp_path / ".env").write_text(
        "JOBCATALOG=s3cret-of-the-file\nBASE_IMAGE=x\nGF_LOG_LEVEL=info\n"
    )
    supervised.start(
        SUPERVISOR_ON_STRAT="adopt-s3cret",
        SUPERVISOR_PORT="tcp://10.0.0.1:50051",
        GRPC_VERBOSITY="error",
    )
    assert [] == containers.everything(docker_client)
    told = list(supervised.events("setting.unknown"))
    assert [
        ("warning", "JOBCATALOG", "JOB_CATALOG"),
        ("warning", "SUPERVISOR_ON_STRAT", "SUPERVISOR_ON_START"),
    ] == [(each["level"], each["variable"], each["nearest"]) for each in told]
    names = [json.loads(line)["event"] for line in supervised.lines()]
    assert names.index("setting.unknown") < names.index("janitor.ended_jobs")
    assert "s3cret" not in supervised.log()


def test_a_wrong_setting_in_the_file_is_told_like_any_other(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GO_ENV=staging\n")
    ended = run_command(tmp_path, {}, "serve")
    (line,) = ended.stdout.splitlines()
    assert 1 == ended.returncode
    assert "GO_ENV=staging: allowed is production or development" in line


@pytest.mark.parametrize("address", ["fd00::7", "[fd00::7]"])
def test_an_ipv6_callback_gets_brackets(
    start: Start, docker_client: docker.DockerClient, address: str
) -> None:
    supervised = start(GRPC_CALLBACK_HOST=address)
    assert Response() == supervised.launch("timer", "t-1")
    arguments = containers.arguments(containers.one(docker_client, "t-1"))
    assert ["--target", "[fd00::7]:50050"] == arguments[:2]


def test_a_network_that_is_not_there_is_refused_and_leaves_nothing(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(JOB_NETWORK="no-such-network")
    answer = supervised.launch("timer", "t-1")
    assert 502 == answer.error.code
    assert "no-such-network" in answer.error.message
    assert [] == supervised.jobs()
    assert [] == containers.everything(docker_client)


def test_the_log_is_one_json_object_a_line(start: Start) -> None:
    supervised = start(LOG_FORMAT="json")
    supervised.launch("timer", "t-1")
    supervised.launch("unknown", "t-1")
    supervised.launch("timer", "fails", {"exit": 3})
    eventually(lambda: list(supervised.events("job.exited")))
    assert 0 == supervised.stop()
    events = [json.loads(line) for line in supervised.lines()]
    assert {"event", "level", "timestamp"} <= set.intersection(*map(set, events))


def test_console_logs_are_for_a_person(start: Start) -> None:
    supervised = start(LOG_FORMAT="console")
    lines = supervised.lines()
    assert any("supervisor.started" in line for line in lines)
    assert not any(line.startswith("{") for line in lines)
