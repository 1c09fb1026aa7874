"""What a workload becomes in the specification of a service."""

import re
from typing import Any

import pytest

from service.engine.docker.parsing import read
from service.engine.swarm.answers import Service, Task
from service.engine.swarm.specs import can_gain_privileges, service_of
from service.engine.workload_spec import (
    Confinement,
    Limits,
    Log,
    Surroundings,
    Tmpfs,
    Ulimit,
    Volume,
    WorkloadSpec,
)
from service.errors import EngineRefused, TooLargeForEngine

_OLD, _NEW = "1.43", "1.44"


def _container(confinement: Confinement, api: str = _NEW) -> dict[str, Any]:
    spec = WorkloadSpec(name="a", image="x", arguments=(), confinement=confinement)
    found: dict[str, Any] = dict(service_of(spec, api)["TaskTemplate"]["ContainerSpec"])
    return found


def test_a_service_is_confined_as_the_catalogue_says() -> None:
    folders = (Tmpfs("/tmp"), Tmpfs("/run", size=1024, mode=0o700))
    found = _container(
        Confinement(
            user="1:2", read_only=True, cap_drop=("ALL",), cap_add=("CHOWN",), tmpfs=folders
        )
    )
    assert ("1:2", True) == (found["User"], found["ReadOnly"])
    assert (["ALL"], ["CHOWN"]) == (found["CapabilityDrop"], found["CapabilityAdd"])
    tmp, run = found["Mounts"]
    assert ("tmpfs", "/tmp", None) == (tmp["Type"], tmp["Target"], tmp["Source"])
    assert {"SizeBytes": 1024, "Mode": 0o700} == run["TmpfsOptions"]


@pytest.mark.parametrize(("asked", "given"), [(None, True), (True, True), (False, False)])
def test_a_service_gains_no_privileges_unless_the_catalogue_allows_it(
    asked: bool | None, given: bool
) -> None:
    found = _container(Confinement(no_new_privileges=asked))
    assert {"NoNewPrivileges": given} == found["Privileges"]


def test_an_old_manager_is_refused_only_if_the_catalogue_asks_for_what_it_cannot_do() -> None:
    assert can_gain_privileges(_OLD)
    assert not can_gain_privileges(_NEW)
    assert "Privileges" not in _container(Confinement(), _OLD)
    _container(Confinement(no_new_privileges=False), _OLD)
    with pytest.raises(EngineRefused, match=re.escape("no_new_privileges: the manager speaks API")):
        _container(Confinement(no_new_privileges=True), _OLD)


# Size


@pytest.mark.parametrize("place", ["arguments", "environment", "labels"])
def test_what_raft_could_not_take_together_with_its_old_spec_is_refused(place: str) -> None:
    def make(size: int) -> None:
        text = "s3cret" * (size // 6)
        given: dict[str, Any] = {place: [text] if place == "arguments" else {"A": text}}
        service_of(WorkloadSpec(**{"name": "a", "image": "x", "arguments": ()} | given), _NEW)

    twice = 2 if place == "labels" else 1  # on the service and on its containers
    make(409_000 // twice)
    with pytest.raises(TooLargeForEngine, match="at most 409600 are allowed together") as caught:
        make(410_000 // twice)
    assert "s3cret" not in caught.value.message


# Limits


def _task(limits: Limits, confinement: Confinement = Confinement()) -> dict[str, Any]:  # noqa: B008
    spec = WorkloadSpec(name="a", image="x", arguments=(), limits=limits, confinement=confinement)
    found: dict[str, Any] = dict(service_of(spec, _NEW)["TaskTemplate"])
    return found


def test_a_service_has_the_limits_of_the_catalogue() -> None:
    ulimits = (Ulimit("core", 0, 0), Ulimit("nofile", 64, 128))
    task = _task(Limits(memory=2**24, memory_reservation=2**23, pids=7, ulimits=ulimits))
    assert {"MemoryBytes": 2**24, "Pids": 7} == task["Resources"]["Limits"]
    assert {"MemoryBytes": 2**23} == task["Resources"]["Reservations"]
    assert [
        {"Name": "core", "Soft": 0, "Hard": 0},
        {"Name": "nofile", "Soft": 64, "Hard": 128},
    ] == task["ContainerSpec"]["Ulimits"]
    assert not {"Resources"} & {*_task(Limits())}
    assert not {"Ulimits"} & {*_task(Limits())["ContainerSpec"]}


def test_shared_memory_is_a_folder_in_memory_of_a_service() -> None:
    (shm,) = _task(Limits(shm_size=2**20))["ContainerSpec"]["Mounts"]
    assert ("tmpfs", "/dev/shm") == (shm["Type"], shm["Target"])
    assert {"SizeBytes": 2**20, "Mode": 0o1777} == shm["TmpfsOptions"]
    own = Confinement(tmpfs=(Tmpfs("/dev/shm"),))
    (shm,) = _task(Limits(shm_size=2**20), own)["ContainerSpec"]["Mounts"]
    assert "TmpfsOptions" not in shm


# Surroundings


def test_a_service_has_the_surroundings_of_the_catalogue() -> None:
    surroundings = Surroundings(
        working_dir="/srv/app",
        extra_hosts=(("db.internal", "10.9.8.7"), ("gateway", "host-gateway")),
        dns=("10.0.0.2",),
        volumes=(Volume("cache", "/cache/{{x}}"), Volume("/srv/data", "/data", read_only=True)),
        log=Log("local", (("max-size", "1m"),)),
    )
    confinement = Confinement(tmpfs=(Tmpfs("/tmp"),))
    spec = WorkloadSpec(
        name="a",
        image="x",
        arguments=(),
        confinement=confinement,
        surroundings=surroundings,
    )
    task = service_of(spec, _NEW)["TaskTemplate"]
    container = task["ContainerSpec"]
    assert "/srv/app" == container["Dir"]
    assert ["10.9.8.7 db.internal", "host-gateway gateway"] == container["Hosts"]
    assert ["10.0.0.2"] == container["DNSConfig"]["Nameservers"]
    assert {"Name": "local", "Options": {"max-size": "1m"}} == task["LogDriver"]
    cache, data, tmp = container["Mounts"]
    # Swarm expands templates in mounts.
    assert ("volume", "cache", '/cache/{{"{{"}}x}}') == (
        cache["Type"],
        cache["Source"],
        cache["Target"],
    )
    assert ("bind", "/srv/data", "/data", True) == tuple(
        data[key] for key in ("Type", "Source", "Target", "ReadOnly")
    )
    assert "tmpfs" == tmp["Type"]


def test_a_service_without_surroundings_has_the_defaults_of_its_node_and_image() -> None:
    task = _task(Limits())
    assert not {"Dir", "Hosts", "DNSConfig"} & {*task["ContainerSpec"]}
    assert "LogDriver" not in task


@pytest.mark.parametrize(
    "value", ["", "plain", "{{.Node.ID}}", "{{{", '{{"{{"}}', "}}{{", '{"a":{"b":"{{"}}', '"{{"']
)
def test_a_variable_is_read_back_as_it_was_given(value: str) -> None:
    spec = WorkloadSpec(name="a", image="x", arguments=(), environment={"AREA_AUTH": value})
    container = service_of(spec, _NEW)["TaskTemplate"]["ContainerSpec"]
    task = {"ID": "t", "Version": {"Index": 1}, "CreatedAt": "", "DesiredState": "running"}
    task |= {"Status": {"Timestamp": "", "State": "running"}, "Spec": {"ContainerSpec": container}}
    assert (f"AREA_AUTH={value}",) == read(Task, task).Spec.ContainerSpec.environment


def test_the_options_of_the_log_are_read_back() -> None:
    log = Log("splunk", (("splunk-token", "t"), ("splunk-url", "u")))
    spec = WorkloadSpec(name="a", image="x", arguments=(), surroundings=Surroundings(log=log))
    service = {"ID": "s", "Version": {"Index": 1}, "CreatedAt": "", "Spec": service_of(spec, _NEW)}
    assert ("t", "u") == read(Service, service).Spec.TaskTemplate.log_options
