"""Images from a registry that asks for a login."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.engine.swarm.engine import SwarmEngine
from service.errors import ImageMissing
from tests.engine.on_swarm import TIMEOUT, a_spec, node_of
from tests.engine.rigs import SwarmRig
from tests.support import worker
from tests.support.registry import PASSWORD, USER, Registry, a_registry
from tests.support.swarm import Swarm

_WRONG = "a-wrong-password"
# An address in the network of the machines that none of them has.
_NOBODY = "10.123.0.99"


@pytest.fixture(scope="module")
def registry(swarm_of_three: Swarm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """On the manager's machine."""
    with a_registry(swarm_of_three.manager.machine, tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def image(registry: Registry, rig_of_three: SwarmRig) -> Iterator[str]:
    """An image that no node has."""
    nodes = rig_of_three.swarm.nodes
    with nodes[0].client() as client:
        name = registry.push(client, worker.IMAGE, "private/worker:latest").name
    yield name
    for node in nodes:
        with node.client() as client:
            if client.images.list(name):
                client.images.remove(name, force=True)


@pytest.fixture
def engine_with(
    rig_of_three: SwarmRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[object], SwarmEngine]:
    """Makes the adapter of a supervisor that has these logins."""

    def make(logins: object) -> SwarmEngine:
        (tmp_path / "config.json").write_text(json.dumps(logins))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        return rig_of_three.engine_at(rig_of_three.swarm.manager)

    return make


def _spellings(password: str) -> list[str]:
    return [password, base64.b64encode(f"{USER}:{password}".encode()).decode()]


async def test_a_login_goes_along_to_a_node_that_has_not_the_image(
    rig_of_three: SwarmRig,
    registry: Registry,
    image: str,
    engine_with: Callable[[object], SwarmEngine],
) -> None:
    engine = engine_with(registry.config_json())
    node = rig_of_three.swarm.workers[0]
    with node.client() as client:
        placement = [f"node.id=={client.info()['Swarm']['NodeID']}"]
    with capture_logs() as logs:
        begun = await engine.start(
            a_spec(rig_of_three, "a-1", image=image, placement=placement), timeout=TIMEOUT
        )
    assert node is node_of(rig_of_three, begun.id)
    with rig_of_three.swarm.manager.client() as client:
        told = str((logs, client.services.get(begun.id).attrs, client.api.tasks()))  # type: ignore[no-untyped-call]
    assert not [each for each in _spellings(PASSWORD) if each in told]
    await engine.close()


@pytest.mark.parametrize("password", [_WRONG, None])
async def test_without_the_right_login_the_image_is_missing_and_nothing_tells_the_login(
    password: str | None,
    rig_of_three: SwarmRig,
    registry: Registry,
    image: str,
    engine_with: Callable[[object], SwarmEngine],
) -> None:
    logins = registry.config_json(password) if password else {}
    engine = engine_with(logins)
    with capture_logs() as logs, pytest.raises(ImageMissing, match="login") as raised:
        await engine.start(a_spec(rig_of_three, "a-1", image=image), timeout=TIMEOUT)
    assert image in raised.value.message
    told = str((raised.value.message, logs))
    assert not [each for each in _spellings(_WRONG) if each in told]
    assert [] == await engine.list()
    await engine.close()


async def test_a_node_runs_what_it_has_while_the_registry_does_not_answer(
    rig_of_three: SwarmRig,
) -> None:
    node = rig_of_three.swarm.workers[0]
    repository = f"{_NOBODY}:5000/worker"
    with node.client() as client:
        client.images.get(worker.IMAGE).tag(repository, "latest")
        placement = [f"node.id=={client.info()['Swarm']['NodeID']}"]
        try:
            begun = await rig_of_three.engine.start(
                a_spec(rig_of_three, "a-1", image=f"{repository}:latest", placement=placement),
                timeout=TIMEOUT,
            )
            assert node is node_of(rig_of_three, begun.id)
        finally:
            client.images.remove(f"{repository}:latest", force=True)
