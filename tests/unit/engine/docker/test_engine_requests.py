"""What a proxy before the Engine lets through is what the adapter asks for."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import docker
import pytest

from scripts.socket_proxy import PAGE, configuration
from service.engine.docker.containers import container_options
from service.engine.docker.engine_requests import CREATE_BODY, REQUESTS
from service.engine.docker.error_advice import with_advice
from service.engine.docker.surroundings import rotated
from service.engine.workload_spec import (
    Confinement,
    Gpus,
    Limits,
    Log,
    SecretFile,
    Surroundings,
    Tmpfs,
    Ulimit,
    Volume,
    WorkloadSpec,
)
from service.jobs.arguments import MAX_ARGUMENT_BYTES

_EVERYTHING = Confinement(
    user="1000:1000",
    read_only=True,
    cap_drop=("ALL",),
    cap_add=("NET_BIND_SERVICE", "CHOWN"),
    tmpfs=(Tmpfs("/tmp"), Tmpfs("/run/a b", size=2**20, mode=0o700)),
)
_VOLUME = '"Type": "volume", "Target": "/run/area-auth", "VolumeOptions": {"Labels": {}'
_ODD = ("", '"', "\\", '\\"', "\n\t\x7f", "é\u2028🎉", '{"Privileged":true}', '"Binds" : [')


def _body(**more: Any) -> str:
    """As docker-py sends it: without what is None."""
    client = docker.APIClient("unix:///nowhere", version="1.41")
    spec = WorkloadSpec(**{"name": "x", "image": "x:1@sha256:a", "arguments": ("a",)} | more)
    config: Mapping[str, Any] = client.create_container_config(**container_options(client, spec))
    return json.dumps({key: value for key, value in config.items() if value is not None})


def _passes(body: str) -> bool:
    return re.fullmatch(CREATE_BODY, body) is not None


def test_the_proxy_of_the_example_is_up_to_date() -> None:
    assert configuration() == PAGE.read_text(), "make docs writes it"


@pytest.mark.parametrize("confinement", [Confinement(), _EVERYTHING])
def test_every_launch_passes(confinement: Confinement) -> None:
    labels = {"area.supervisor.instance": "x", "area.supervisor.launch-id": '"'}
    limits = Limits(
        memory=2**24,
        memory_reservation=2**23,
        cpus=0.5,
        pids=7,
        shm_size=2**20,
        ulimits=(Ulimit("nofile", 64, 128),),
    )
    environment = {"TRACEPARENT": "00-a"}
    secret = SecretFile("name", "{}")
    more = {"labels": labels, "limits": limits, "environment": environment, "arguments": _ODD}
    surroundings = Surroundings(
        working_dir="/srv", extra_hosts=(("a.b", "::1"), ("c", "10.0.0.1")), dns=("10.0.0.2",)
    )
    more["labels"] = labels | {"org.example.team-1": '"Mounts":'}
    spec = WorkloadSpec(name="x", image="x", arguments=(), surroundings=surroundings)
    more["surroundings"] = rotated(spec, "json-file").surroundings
    assert _passes(_body(secret=secret, **more))
    assert _passes(_body(confinement=confinement, **more))


@pytest.mark.parametrize(
    ("driver", "passes"), [("json-file", True), ("local", True), ("none", True), ("syslog", False)]
)
def test_a_log_that_is_sent_nowhere_passes(driver: str, passes: bool) -> None:
    log = Log(driver, (("max-size", "1m"), ("max-file", "2")))
    assert passes == _passes(_body(surroundings=Surroundings(log=log)))


@pytest.mark.parametrize(
    "surroundings",
    [
        Surroundings(volumes=(Volume("cache", "/var/cache"),)),
        Surroundings(volumes=(Volume("/", "/host"),)),
        Surroundings(runtime="runsc"),
        Surroundings(gpus=Gpus(count=1)),
        Surroundings(log=Log("json-file", (("labels", "x"),))),
    ],
)
def test_what_a_stolen_supervisor_could_use_passes_only_if_it_is_added(
    surroundings: Surroundings,
) -> None:
    assert not _passes(_body(surroundings=surroundings))


def test_what_the_readme_adds_lets_one_volume_pass() -> None:
    readme = PAGE.with_name("README.md").read_text()
    (more,) = re.findall(r"^\|\S.*$", readme, re.MULTILINE)
    assert CREATE_BODY.endswith(")*+")
    body = CREATE_BODY.removesuffix(")*+") + more + ")*+"

    def passes(*volumes: Volume) -> bool:
        made = _body(surroundings=Surroundings(volumes=volumes))
        return re.fullmatch(body, made) is not None

    cache = Volume("cache", "/var/cache")
    assert passes(cache)
    assert not passes(Volume("other", "/var/cache"))
    assert not passes(cache, Volume("/", "/host"))


def test_a_launch_of_the_greatest_size_passes() -> None:
    assert _passes(_body(arguments=['"é\\' * (MAX_ARGUMENT_BYTES // 4)] * 8))
    assert _passes(_body(arguments=["a"] * 100_000))


@pytest.mark.parametrize(
    "member",
    [
        '"Privileged": true',
        '"privileged": true',
        '"\\u0050rivileged": true',
        '"Privileged"\n\t : true',
        '"Binds": ["/:/host"]',
        '"Bind\u017f": ["/:/host"]',
        '"Mounts": []',
        '"Type": "bind"',
        '"Type": "volume"',
        '"LogConfig": {"Type": "syslog"}',
        '"Mounts": [{"Type": "bind", "Target": "/run/area-auth", "VolumeOptions": {"Labels": {}}}]',
        '"Mounts": [{"Type": "volume", "Target": "/etc", "VolumeOptions": {"Labels": {}}}]',
        f'"Mounts": [{{{_VOLUME}}}, "Source": "their-volume"}}]',
        f'"Mounts": [{{{_VOLUME}}}}}, {{"Type": "bind", "Source": "/", "Target": "/x"}}]',
        f'"Mounts": [{{{_VOLUME}}}, "DriverConfig": {{"Name": "local"}}}}}}]',
        '"VolumesFrom": ["x"]',
        '"Devices": []',
        '"DeviceCgroupRules": ["a *:* rwm"]',
        '"PidMode": "host"',
        '"UsernsMode": "host"',
        '"Runtime": "x"',
        '"CapAdd": ["SYS_ADMIN"]',
        '"CapAdd": ["CHOWN", "ALL"]',
        '"SecurityOpt": ["seccomp=unconfined"]',
        '"SecurityOpt": ["no-new-privileges", "apparmor=unconfined"]',
        '"Sysctls": {}',
        '"Entrypoint": ["sh"]',
        '"Volumes": {"/x": {}}',
    ],
)
def test_a_container_that_may_do_more_does_not_pass(member: str) -> None:
    for place in ("{", '"HostConfig": {'):
        head, found, tail = _body().partition(place)
        assert _passes(f'{head}{found}"Memory": 1, {tail}')
        assert not _passes(f"{head}{found}{member}, {tail}")


@pytest.mark.parametrize("tail", ['{"x":', '"', '"a":1', '\\"Privileged":true', '"\\'])
def test_what_follows_a_create_is_looked_at_too(tail: str) -> None:
    assert not _passes(_body() + tail)


def test_what_it_refuses_is_told_with_the_page_that_helps() -> None:
    (message,) = re.findall(r'"message":"([^"]+)"', configuration())
    assert "examples/socket-proxy/README.md" in with_advice(message)


def test_files_are_written_and_read_in_their_folder_alone() -> None:
    queries = {r.method: r.query for r in REQUESTS if r.path.endswith("/archive")}
    wrong = ("", "/", "/etc", "/run/area-auth/..", "/run/area-auth/../x", "/run/area-auth/x")
    for method, rights in (("PUT", ["/run/area-auth"]), ("GET", ["/run/area-auth/auth.json"])):
        for path in rights:
            assert re.fullmatch(queries[method], urlencode({"path": path}))
        for path in wrong:
            for query in (urlencode({"path": path}), urlencode({"path": rights[0], "x": path})):
                assert not re.fullmatch(queries[method], query)
