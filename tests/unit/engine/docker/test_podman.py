"""What Podman 5.4.2 has answered, and what the adapter makes of it."""

import json
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Any

import pytest
from requests import Response

from observability.redaction.redactor import NO_SECRETS
from service.app.metric_labels import new_metrics
from service.engine.docker.client import Client
from service.engine.docker.connection import Clients, Connection
from service.engine.docker.engine import DockerEngine
from service.engine.docker.legacy import LegacyContainer, LegacyContainers
from service.engine.docker.podman import PodmanClient
from service.engine.workload_spec import Gpus, Limits, Surroundings, WorkloadSpec
from service.engine.workloads import Begun
from service.errors import (
    EngineError,
    EngineFailed,
    EngineRefused,
    EngineTimeout,
    NameTaken,
    NoSuchWorkload,
)

ID, OTHER = "7aae6cd71592" + "a7" * 26, "31d9f7c580fe" + "f3" * 26
PODMAN = {
    "Components": [
        {"Name": "Podman Engine", "Version": "5.4.2", "Details": {"APIVersion": "5.4.2"}},
        {"Name": "Conmon", "Version": "conmon version 2.1.12, commit: unknown"},
    ],
    "Version": "5.4.2",
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.24",
}
DOCKER = {
    "Components": [
        {"Name": "Engine", "Version": "20.10.24+dfsg1", "Details": {"ApiVersion": "1.41"}},
        {"Name": "containerd", "Version": "1.6.20~ds1"},
    ],
    "Version": "20.10.24+dfsg1",
    "ApiVersion": "1.41",
}
NOT_RUNNING = "top can only be used on running containers"
PAUSED = f"container {ID} is running or paused, refusing to clean up: container state improper"
PAUSED_STILL = f"can only stop created or running containers. {ID} is in state paused: container"
RUNS = (
    f"cannot remove container {ID} as it is running - running or paused containers cannot be"
    " removed without force: container state improper"
)
GONE = f'no container with name or ID "{ID}" found: no such container'
IN_USE = (
    'container create: creating container storage: the container name "a-1" is already in use by'
    f" {OTHER}. You have to remove that container to be able to reuse that name: that name is"
    " already in use"
)
NO_NETWORK = "container create: unable to find network with name or ID nowhere: network not found"
NO_INIT = (
    "container create: container-init binary not found on the host: faccessat"
    " /usr/libexec/podman/catatonit: no such file or directory"
)
NO_USER = "unable to find user nobody-here: no matching entries in passwd file"
REMOVING = (
    f"container {ID} must be in Created or Stopped state to be started: container state improper"
)
NOT_ALIVE = f"can only kill running containers. {ID} is in state exited: container state improper"
NOT_SENT = f"sending signal to container {ID}: `/usr/bin/runc kill {ID} 15` failed: exit status 1"
NOT_PAUSED = f'"{ID}" is not paused, can\'t unpause: container state improper'
STOPPED = f"can only stop created or running containers. {ID} is in state removing: container"

Answer = tuple[int, Any]


def inspected(container_id: str = ID, status: str = "exited", **config: Any) -> Answer:
    state = {
        "Status": status,
        "Paused": False,
        "OOMKilled": False,
        "ExitCode": 1,
        "StartedAt": "2026-11-29T07:49:04.970599979Z",
        "FinishedAt": "2026-11-29T07:49:04.978519546Z",
    }
    return 200, {"Id": container_id, "Name": "/a-1", "State": state, "Config": config}


def failure(words: str, status: int = 500) -> Answer:
    return status, {"cause": "", "message": words, "response": status}


class Recorded(PodmanClient):
    """Answers by the end of what is asked; 204 to all else."""

    def __init__(self, answers: Mapping[str, Answer | list[Answer]]) -> None:
        super().__init__("unix:///nowhere", None, {})
        self.use_version("1.41")
        self.answers: dict[str, list[Answer]] = {
            end: told if isinstance(told, list) else [told] for end, told in answers.items()
        }
        self.asked: list[str] = []

    def request(self, method: Any, url: Any, *args: Any, **options: Any) -> Any:
        del args, options
        asked = f"{method.upper()} {url.partition('?')[0].rpartition('/')[2]}"
        self.asked.append(asked)
        told = self.answers.get(asked, [(204, None)])
        status, body = told.pop(0) if len(told) > 1 else told[0]
        response = Response()
        response.status_code, response.url, response.encoding = status, url, "utf-8"
        response._content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return response


def an_engine(client: Recorded, *allowed: str) -> DockerEngine:
    metrics = new_metrics([], version="test", engine="docker", mode="test")
    connection = Connection("unix:///nowhere")
    one = DockerEngine(connection, {"a": "b"}, metrics, allowed_folders=allowed)
    one._clients.get = lambda: client  # type: ignore[method-assign]
    return one


def a_spec(**more: Any) -> WorkloadSpec:
    return WorkloadSpec(**{"name": "a-1", "image": "worker", "arguments": ("--target",)} | more)


def test_an_engine_is_known_by_its_own_account_and_may_be_another_one_later(
    tmp_path: Path,
) -> None:
    told = [PODMAN, DOCKER, PODMAN]

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while self.request.recv(10_000):
                body = json.dumps(told[0])
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                self.wfile.write((head + body).encode())

    with ThreadingUnixStreamServer(str(tmp_path / "sock"), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        clients = Clients(Connection(f"unix://{tmp_path}/sock"))
        kinds = [(type(clients.get()), clients.get().api_version)]
        for _ in range(2):
            told.pop(0)
            asked = clients.negotiate()
            assert type(asked) is type(clients.get())
            kinds.append((type(asked), asked.api_version))
        server.shutdown()
    assert [(PodmanClient, "1.41"), (Client, "1.41"), (PodmanClient, "1.41")] == kinds


# What a failure means


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"POST create": failure(NO_NETWORK), "GET json": (200, {})}, EngineRefused),
        ({"POST create": failure(NO_INIT)}, EngineRefused),
        ({"POST start": failure(NO_USER)}, EngineRefused),
        ({"POST start": failure("runc: the cgroup is busy: OCI runtime error")}, EngineFailed),
        ({"POST start": failure(REMOVING)}, EngineFailed),  # a second launch may go better
        ({"POST start": failure(GONE, 404)}, EngineFailed),
        ({"POST create": failure("database is locked")}, EngineFailed),
    ],
)
async def test_a_launch_fails_for_good_or_may_go_better(
    answers: Mapping[str, Answer], error: type[EngineError]
) -> None:
    client = Recorded({"POST create": (201, {"Id": ID, "Warnings": []}), **answers})
    with pytest.raises(EngineRefused) as caught:
        await an_engine(client).start(a_spec(), timeout=5)
    assert error is type(caught.value)
    made = answers.keys().isdisjoint({"POST create"})
    assert (made and error is EngineRefused) is (f"DELETE {ID}" in client.asked)


async def test_a_missing_init_is_told_with_what_helps() -> None:
    with pytest.raises(EngineRefused, match="install catatonit"):
        await an_engine(Recorded({"POST create": failure(NO_INIT)})).start(a_spec(), timeout=5)


async def test_a_name_that_is_taken_is_told_with_its_holder() -> None:
    client = Recorded({"POST create": failure(IN_USE), "GET json": inspected(OTHER)})
    with pytest.raises(NameTaken, match="already in use") as caught:
        await an_engine(client).start(a_spec(), timeout=5)
    assert OTHER == caught.value.holder


async def test_a_name_that_a_half_done_container_holds_is_told_with_what_helps() -> None:
    held = f"{IN_USE} by an external entity"
    client = Recorded({"POST create": failure(held), "GET json": failure(GONE, 404)})
    with pytest.raises(NameTaken, match="podman rm NAME") as caught:
        await an_engine(client).start(a_spec(), timeout=5)
    assert caught.value.holder is None


async def test_a_live_one_is_refused_and_its_removal_is_not_tried_again() -> None:
    client = Recorded({f"DELETE {ID}": failure(RUNS), "GET json": inspected(status="running")})
    with pytest.raises(EngineRefused) as caught:
        await an_engine(client).remove(ID)
    assert EngineRefused is type(caught.value)


async def test_what_is_removed_while_it_is_inspected_does_not_exist() -> None:
    meanwhile = f"no container with ID {ID} found in database: no such container"
    with pytest.raises(NoSuchWorkload):
        await an_engine(Recorded({"GET json": failure(meanwhile)})).inspect(ID)


@pytest.mark.parametrize("status", [409, 500])
async def test_what_does_not_run_is_stopped(status: int) -> None:
    told = {"POST kill": failure(NOT_ALIVE, status), "POST stop": failure(STOPPED)}
    client = Recorded({"GET json": inspected(), **told})
    assert None is await an_engine(client).stop(ID, grace=1)
    assert ["GET json", "POST kill"] == client.asked
    client.stop(ID, timeout=0)  # as after the grace


async def test_a_program_that_is_not_there_is_refused_where_there_is_no_init() -> None:
    told = failure(
        'runc: exec: "/nope": stat /nope: no such file or directory: OCI runtime attempted to'
        " invoke a command that was not found"
    )
    client = Recorded({"POST create": (201, {"Id": ID, "Warnings": []}), "POST start": told})
    with pytest.raises(EngineRefused) as caught:
        await an_engine(client).start(a_spec(init=False), timeout=5)
    assert EngineRefused is type(caught.value)
    assert f"DELETE {ID}" in client.asked


# What it takes and does not use

ABOUT = {"DefaultRuntime": "runc", "Runtimes": {"runc": {}, "runsc": {}, "kata": {}}}


@pytest.mark.parametrize(
    ("surroundings", "told"),
    [
        (Surroundings(runtime="runsc"), "runsc: .* runc: leave out `runtime` in the catalogue"),
        (Surroundings(gpus=Gpus(count=-1)), "no container a gpu .*`gpus` in the catalogue"),
    ],
)
async def test_what_it_would_leave_out_is_refused(surroundings: Surroundings, told: str) -> None:
    client = Recorded({"GET info": (200, ABOUT)})
    with pytest.raises(EngineRefused, match=told):
        await an_engine(client).start(a_spec(surroundings=surroundings), timeout=5)
    assert "POST create" not in client.asked


async def test_its_own_runtime_may_be_asked_for_and_is_the_only_one() -> None:
    create = (201, {"Id": ID, "Warnings": []})
    client = Recorded({"GET info": (200, ABOUT), "POST create": create})
    one = an_engine(client)
    spec = a_spec(surroundings=Surroundings(runtime="runc"), init=False)
    assert Begun(ID) == await one.start(spec, timeout=5)
    assert frozenset({"runc"}) == (await one.offers()).runtimes


# Another container like one that has exited


def a_predecessor(**host: Any) -> Answer:
    status, found = inspected(Image="worker", Labels={"a": "b"})
    mounts = [
        ("volume", "e1" * 32, "/run/area-auth", True),
        ("volume", "0d" * 32, "/of-the-image", True),
        ("volume", "cache", "/cache", True),
        ("bind", "", "/data", False),
    ]
    told = {
        "Mounts": [
            {"Type": kind, "Name": name, "Source": "/srv/x", "Destination": path, "RW": writes}
            for kind, name, path, writes in mounts
        ],
        "HostConfig": {
            "Binds": ["/srv/x:/data:ro,rprivate,rbind", f"{'e1' * 32}:/run/area-auth:rw"],
            "NanoCpus": 5 * 10**8,
            "CpuPeriod": 100_000,
            "CpuQuota": 50_000,
            "Runtime": "oci",
            "MemorySwappiness": -1,
            "PidMode": "private",
            "UTSMode": "private",
            "LogConfig": {"Type": "json-file", "Config": None},
            **host,
        },
        "Image": "sha256:f2",
    }
    return status, found | told


def test_a_successor_has_what_the_one_before_was_given_and_volumes_of_its_own() -> None:
    size = {"LogConfig": {"Type": "json-file", "Config": None, "Size": "10MB"}}
    client = Recorded({"GET json": [a_predecessor(), a_predecessor(**size)]})
    found = client.inspect_to_repeat(ID)["HostConfig"]
    file = {"Target": "/run/area-auth", "VolumeOptions": {"Labels": {"a": "b"}}}
    assert {
        "NanoCpus": 5 * 10**8,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10MB"}},
        "Mounts": [
            {"Type": "volume", **file},
            {"Type": "volume", "Source": "cache", "Target": "/cache", "ReadOnly": False},
            {"Type": "bind", "Source": "/srv/x", "Target": "/data", "ReadOnly": True},
        ],
    } == found


def test_behind_a_proxy_that_lets_through_dockers_api_alone_a_log_may_be_long() -> None:
    client = Recorded({"GET json": [a_predecessor(), failure("not allowed", 403)]})
    assert not client.inspect_to_repeat(ID)["HostConfig"]["LogConfig"]["Config"]


async def test_a_folder_that_is_not_allowed_any_more_is_refused() -> None:
    client = Recorded({"GET json": a_predecessor()})
    with pytest.raises(EngineRefused, match="/srv/x: is not in ALLOWED_HOST_PATHS"):
        await start_successor(client)
    assert "POST create" not in client.asked


async def test_a_name_that_somebody_has_taken_is_told_with_its_holder() -> None:
    gone = failure("no such image", 404)
    found = [*[a_predecessor()] * 2, gone, (200, {"Id": "sha256:f2"}), inspected(OTHER)]
    about = (200, ABOUT)
    client = Recorded({"GET json": found, "GET info": about, "POST create": failure(IN_USE)})
    with pytest.raises(NameTaken) as caught:
        await start_successor(client, "/srv")
    assert OTHER == caught.value.holder


async def start_successor(client: Recorded, *allowed: str) -> None:
    engine = an_engine(client, *allowed)
    await engine.start_successor(ID, {}, redact=lambda _: NO_SECRETS, timeout=5)


@pytest.mark.parametrize(
    ("driver", "called"), [("k8s-file", "json-file"), ("journald", "journald")]
)
def test_the_log_driver_of_a_job_without_one_is_called_as_docker_calls_it(
    driver: str, called: str
) -> None:
    told = {"host": {"logDriver": driver}}
    assert called == Recorded({"GET info": (200, told)}).default_log_driver()


# What it does in another way


@pytest.mark.parametrize("unpause", [(204, None), failure(NOT_PAUSED)])
async def test_a_stop_is_the_signal_alone_and_goes_on_with_what_is_paused(unpause: Answer) -> None:
    """Podman drops a stop that waits for other stops when its client disconnects."""
    client = Recorded({"GET json": inspected(status="running"), "POST unpause": unpause})
    await an_engine(client).stop(ID, grace=1)
    assert ["GET json", "POST kill", "POST unpause", "POST wait"] == client.asked


@pytest.mark.parametrize("words", [PAUSED, PAUSED_STILL])
def test_what_is_paused_goes_on_to_be_ended_after_the_grace(words: str) -> None:
    client = Recorded({"POST stop": [failure(words), (204, None)]})
    client.stop(ID, timeout=0)
    assert ["POST stop", "POST unpause", "POST stop"] == client.asked


def test_what_is_paused_goes_on_to_be_removed_as_the_go_supervisors() -> None:
    client = Recorded({"POST stop": [failure(PAUSED), (204, None)]})
    legacy = LegacyContainers(Connection("unix:///nowhere"))
    legacy._clients.get = lambda: client  # type: ignore[method-assign]
    legacy.remove(LegacyContainer(ID, "a-1", "worker", "Up (Paused)"), 1)
    assert ["POST stop", "POST unpause", "POST stop"] == client.asked[:3]


@pytest.mark.parametrize("kill", [(204, None), failure("can only kill running containers", 409)])
async def test_what_is_removed_by_force_is_killed(kill: Answer) -> None:
    client = Recorded({"POST kill": kill})
    await an_engine(client).remove(ID, force=True)
    assert ["POST kill", f"DELETE {ID}"] == client.asked


async def test_a_ping_that_asks_for_more_is_one_like_any_other() -> None:
    client = Recorded({"GET _ping": (200, b"OK")})
    await an_engine(client).ping(deep=True)
    assert ["GET _ping"] == client.asked


async def test_a_list_may_take_longer_than_other_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes some milliseconds for each container, and much longer for one that is started."""
    monkeypatch.setattr("service.engine.docker.engine._SHORT", 0.05)

    def slowly(*_: Any) -> Any:
        time.sleep(0.3)
        return {}

    client = Recorded({})
    client.each_container = slowly  # type: ignore[assignment, method-assign]
    client.info = slowly  # type: ignore[method-assign]
    assert [] == await an_engine(client).list()
    with pytest.raises(EngineTimeout):
        await an_engine(client).traits()


def test_jobs_may_be_in_the_hosts_network_and_in_none() -> None:
    client = Recorded({"GET networks": (200, [{"Name": "podman"}])})
    assert ["podman", "host", "none"] == [each["Name"] for each in client.networks()]


async def test_without_root_the_hosts_network_is_the_hosts_all_the_same() -> None:
    options = ["name=seccomp,profile=default", "name=rootless"]
    client = Recorded({"GET info": (200, {"SecurityOptions": options})})
    assert frozenset() == await an_engine(client).traits()


def test_images_are_called_as_the_catalogue_has_them() -> None:
    names = ["docker.io/library/worker:latest", "localhost/worker:latest", "localhost:5000/worker"]
    listed = [
        {"Id": str(n), "Names": [f"/{n}"], "Labels": None, "Image": name, "Status": "Up"}
        for n, name in enumerate(names)
    ]
    legacy = LegacyContainers(Connection("unix:///nowhere"))
    client = Recorded({"GET json": (200, listed)})
    legacy._clients.get = lambda: client  # type: ignore[method-assign]
    assert ["0", "1"] == [found.id for found in legacy.find(["worker"], "ours")]


# Whether a program has begun

INIT, WORKER, PS = ["1", "podman-init"], ["7", "worker"], ["9", "ps"]


def top(*processes: list[str]) -> Answer:
    return 200, {"Processes": [list(each) for each in processes], "Titles": ["PID", "COMMAND"]}


async def test_the_ps_that_lists_processes_is_no_program_that_has_begun() -> None:
    client = Recorded(
        {
            "POST create": (201, {"Id": ID, "Warnings": []}),
            "GET json": inspected(status="running"),
            "GET top": [top(INIT, PS), top(INIT, PS), top(INIT, WORKER, PS)],
        }
    )
    assert Begun(ID) == await an_engine(client).start(a_spec(), timeout=5)
    assert 3 == client.asked.count("GET top")


@pytest.mark.parametrize(
    ("said", "config", "limits", "told"),
    [
        (
            "failed to exec pid1: No such file or directory",
            {"Entrypoint": None, "Cmd": ["--target", "h:1"]},
            Limits(),
            "exec --target failed: No such file or directory; the image worker has no entrypoint",
        ),
        (
            "failed to exec pid1: Permission denied",
            {"Entrypoint": ["/run.sh"], "Cmd": ["--target", "h:1"]},
            Limits(),
            "exec /run.sh failed: Permission denied",
        ),
        (
            "failed to fork child: Resource temporarily unavailable",
            {},
            Limits(pids=1),
            "pids = 1 has to leave room",
        ),
    ],
)
async def test_an_init_that_names_no_program_is_understood(
    said: str, config: dict[str, Any], limits: Limits, told: str
) -> None:
    words = f"ERROR (catatonit:6): {said}\n".encode()
    client = Recorded(
        {
            "POST create": (201, {"Id": ID, "Warnings": []}),
            "GET json": inspected(Tty=True, **config),
            "GET top": failure(NOT_RUNNING),
            "GET logs": (200, words),
        }
    )
    with pytest.raises(EngineRefused) as caught:
        await an_engine(client).start(a_spec(limits=limits), timeout=5)
    assert told in caught.value.message


async def test_the_last_lines_cost_one_call() -> None:
    client = Recorded({"GET logs": (200, b"said\n")})
    assert "said\n" == await an_engine(client).tail(ID, lines=1)
    assert ["GET logs"] == client.asked


async def test_a_kill_of_what_exits_at_that_moment_succeeds() -> None:
    looks = [inspected(status="running"), inspected(status="running"), inspected()]
    client = Recorded({"GET json": looks, "POST kill": failure(NOT_SENT)})
    assert await an_engine(client).stop(ID, grace=1) is None
    assert ["GET json", "POST kill", "GET json", "GET json"] == client.asked


async def test_a_signal_that_cannot_be_sent_to_what_runs_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.engine.docker.podman._EXIT", 0.0)
    client = Recorded({"GET json": inspected(status="running"), "POST kill": failure(NOT_SENT)})
    with pytest.raises(EngineFailed, match="sending signal"):
        await an_engine(client).stop(ID, grace=1)
