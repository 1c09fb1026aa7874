"""Container names: the identifier where it can be one, and never the same for two identifiers."""

import re

import docker
import pytest

from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.support import containers
from tests.support.supervised import Supervised, eventually

_LAUNCH_ID = "area.supervisor.launch-id"


def _name(client: docker.DockerClient, identifier: str) -> str:
    return str(containers.one(client, identifier).name)


def _names(client: docker.DockerClient) -> list[str]:
    return sorted(str(container.name) for container in containers.everything(client))


@pytest.mark.parametrize(
    "identifier",
    ["weather-fetch-weather-Paris", "t1", "0.a_b-C", "UPPER", "a..b--c__d", "a-b-1", "x" * 200],
)
def test_in_production_a_valid_identifier_is_the_name(
    shared: Supervised, docker_client: docker.DockerClient, identifier: str
) -> None:
    assert Response() == shared.launch("timer", identifier)
    assert identifier == _name(docker_client, identifier)


@pytest.mark.parametrize(
    "identifier",
    [
        "x",
        "é",
        "/",
        "-starts",
        ".starts",
        "a b",
        "🚀🚀",
        "a/../b",
        "a:b@c#d?e%f",
        "世界",
        "--",
        "$(id)",
    ],
)
def test_any_other_identifier_runs_under_a_name_that_is_valid(
    shared: Supervised, docker_client: docker.DockerClient, identifier: str
) -> None:
    assert Response() == shared.launch("timer", identifier)
    name = _name(docker_client, identifier)
    assert re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*\.[0-9a-f]{12}", name), name
    assert [identifier] == shared.running()
    assert Response() == shared.launch("timer", identifier)
    assert [name] == _names(docker_client)
    assert Response() == shared.kill(identifier)
    assert [] == containers.everything(docker_client)
    # It is made of nothing but the identifier, so that it can be looked for.
    assert Response() == shared.launch("timer", identifier)
    assert name == _name(docker_client, identifier)


def test_identifiers_that_look_alike_run_side_by_side(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    # The last é is an e and an accent.
    identifiers = ["a/b", "a-b", "a b", "a//b", "é", "è", "e\u0301", "A/b", "a/b/", " a/b", "a/b\n"]
    for identifier in identifiers:
        assert Response() == shared.launch("timer", identifier)
    assert sorted(identifiers) == shared.running() == containers.live(docker_client)
    assert len(identifiers) == len(set(_names(docker_client)))
    assert "a-b" == _name(docker_client, "a-b")
    assert Response() == shared.kill("a/b")
    assert sorted(set(identifiers) - {"a/b"}) == shared.running()
    assert sorted(set(identifiers) - {"a/b"}) == containers.live(docker_client)


def test_an_identifier_that_is_anothers_name_runs_beside_it(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    assert Response() == shared.launch("timer", "a/b")
    name = _name(docker_client, "a/b")
    assert Response() == shared.launch("timer", name)
    assert name != _name(docker_client, name)
    assert sorted(["a/b", name]) == shared.running() == containers.live(docker_client)


@pytest.mark.parametrize("character", ["x", "é", "/", "🚀", " a"])
def test_five_hundred_and_twelve_characters_run(
    shared: Supervised, docker_client: docker.DockerClient, character: str
) -> None:
    longest = (character * 512)[-512:]
    other = f"{longest[:-1]}y"
    for identifier in (longest, other):
        assert Response() == shared.launch("timer", identifier)
    assert sorted([longest, other]) == shared.running() == containers.live(docker_client)
    assert longest == containers.arguments(containers.one(docker_client, longest))[3]
    assert Response() == shared.kill(longest)
    assert [other] == shared.running()


def test_a_reactions_name_has_its_launch_id(
    shared: Supervised, docker_client: docker.DockerClient
) -> None:
    for identifier in ("m-1", "m/1"):
        for _ in range(2):
            assert Response() == shared.launch("mail", identifier)
    found = containers.of(docker_client, "m-1")
    assert 2 == len({container.labels[_LAUNCH_ID] for container in found})
    expected = {f"m-1-{container.labels[_LAUNCH_ID]}" for container in found}
    assert expected == {container.name for container in found}
    for container in containers.of(docker_client, "m/1"):
        launch_id = container.labels[_LAUNCH_ID]
        assert re.fullmatch(rf"m-1\.[0-9a-f]{{12}}-{launch_id}", str(container.name))


def test_another_instance_runs_the_same_identifiers_beside(
    shared: Supervised, start: Start, docker_client: docker.DockerClient
) -> None:
    identifiers = sorted(["t-1", "a/b", "é"])
    for identifier in identifiers:
        assert Response() == shared.launch("timer", identifier)
    mine = {container.id for container in containers.everything(docker_client)}
    other = start(SUPERVISOR_INSTANCE="blue")
    assert mine == {container.id for container in containers.everything(docker_client)}
    assert [] == other.jobs()
    for identifier in identifiers:
        assert Response() == other.launch("timer", identifier)
    assert sorted(identifiers * 2) == containers.live(docker_client)
    assert identifiers == shared.running() == other.running()
    assert 6 == len(set(_names(docker_client)))
    # Neither start touches what is the other's.
    assert 0 == other.stop()
    other.start()
    assert mine == {container.id for container in containers.everything(docker_client)}
    assert Response() == other.launch("timer", "t-1")
    theirs = {container.id for container in containers.everything(docker_client)} - mine
    assert 0 == shared.stop()
    shared.start()
    assert theirs == {container.id for container in containers.everything(docker_client)}
    assert (["t-1"], []) == (other.running(), shared.running())
    # Nor does a kill.
    assert Response() == shared.launch("timer", "t-1")
    assert Response() == shared.kill("t-1")
    assert Response() == shared.kill_all()
    assert theirs == {container.id for container in containers.everything(docker_client)}
    assert ["t-1"] == other.running()


# ---------------------------------------------------------------- development


def test_developments_count_goes_on_from_the_highest_there_is(
    start: Start, docker_client: docker.DockerClient
) -> None:
    # The module's own supervisor is of another instance, and has nothing that runs.
    supervised = start(GO_ENV="development", SUPERVISOR_INSTANCE="dev")

    def relaunched() -> str:
        assert Response() == supervised.launch("timer", "t")
        name = next(c.name for c in containers.of(docker_client, "t") if c.status == "running")
        assert Response() == supervised.kill("t")
        return str(name)

    first = relaunched()
    base, _, count = first.rpartition("-")
    assert "1" == count
    assert f"{base}-2" == relaunched()
    docker_client.containers.get(f"{base}-1").remove()
    assert f"{base}-3" == relaunched()
    containers.stranger(docker_client, f"{base}-41")
    assert f"{base}-42" == relaunched()
    # These are no counts of this name.
    for name in (f"{base}-99x", f"x{base}-99", f"{base}-", f"{base}-9-a"):
        docker_client.containers.create("supervisor-test-worker", name=name)
    assert f"{base}-43" == relaunched()


def test_developments_names_are_the_identifier_and_a_count(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development", SUPERVISOR_INSTANCE="dev")
    for identifier in ("t-1", "t/1"):
        assert Response() == supervised.launch("timer", identifier)
        assert re.fullmatch(r"t-1\.[0-9a-f]{12}-\d+", _name(docker_client, identifier))
    assert Response() == supervised.launch("mail", "m")
    mail = containers.one(docker_client, "m")
    launch_id = mail.labels[_LAUNCH_ID]
    assert re.fullmatch(rf"m\.[0-9a-f]{{12}}-{launch_id}-\d+", str(mail.name))


def test_many_launches_in_development_find_names_of_their_own(
    start: Start, docker_client: docker.DockerClient
) -> None:
    supervised = start(GO_ENV="development", SUPERVISOR_INSTANCE="dev")
    for _ in range(3):
        for name in ("timer", "webhook"):
            assert Response() == supervised.launch(name, f"{name}-x", {"exit": 0})
        eventually(supervised.is_idle)
    assert 6 == len(set(_names(docker_client)))
