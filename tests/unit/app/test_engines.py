"""The engines by name, and what is loaded when."""

import subprocess
import sys
from typing import Any

import pytest

from service.app.engines import ENGINES, adapted
from service.app.metric_labels import new_metrics
from service.engine.docker.engine import DockerEngine
from service.engine.placeholder import EnginePlaceholder
from service.engine.swarm.engine import SwarmEngine
from service.errors import StartError
from service.jobs.catalog import Catalog
from service.jobs.catalog_keys import Entry
from service.jobs.model import Kind
from service.settings import Settings

_LOADED = """
import sys
from service.app.engines import ENGINES
from service.engine.placeholder import EnginePlaceholder
EnginePlaceholder(ENGINES["docker"].title)
print(sorted({"docker", "requests"} & set(sys.modules)))
"""


def test_each_engine_has_its_own_name() -> None:
    assert {"docker": "docker", "swarm": "swarm"} == {
        name: kind.name for name, kind in ENGINES.items()
    }


def test_what_names_an_engine_loads_no_library_of_it() -> None:
    run = subprocess.run(
        [sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True
    )
    assert "[]\n" == run.stdout


async def test_docker_is_opened_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    kind = ENGINES["docker"]
    opened = kind.open(
        {"test": "1"}, new_metrics([], version="test", engine="docker", mode="test"), Settings()
    )
    assert isinstance(opened.engine, DockerEngine)
    assert ("tcp://127.0.0.1:2375", "Docker Engine") == (opened.shown, kind.title)
    assert kind.title == opened.engine.title
    assert opened.address == opened.shown
    await opened.engine.close()


async def test_a_stand_in_has_what_the_engine_has_once_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    kind = ENGINES["docker"]
    late = EnginePlaceholder(kind.title)
    assert "Docker Engine" == late.as_engine().title
    opened = kind.open(
        {"test": "1"}, new_metrics([], version="test", engine="docker", mode="test"), Settings()
    )
    late.set(opened.engine)
    assert opened.engine.capabilities is late.as_engine().capabilities
    assert opened.engine.name_grammar is late.as_engine().name_grammar
    await late.as_engine().close()


async def test_swarm_is_opened_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2375")
    kind = ENGINES["swarm"]
    metrics = new_metrics([], version="test", engine="swarm", mode="test")
    opened = kind.open({"test": "1"}, metrics, Settings())
    assert isinstance(opened.engine, SwarmEngine)
    assert ("tcp://127.0.0.1:2375", "Docker Swarm") == (opened.shown, kind.title)
    assert opened.engine.capabilities.shared
    await opened.engine.close()


_ON_SWARM = {"supervisor_engine": "swarm", "go_env": "production", "grpc_callback_host": "backend"}


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("go_env", "development", "GO_ENV=development: with SUPERVISOR_ENGINE=swarm allowed is"),
        ("grpc_callback_host", "localhost", "GRPC_CALLBACK_HOST=localhost: with"),
        ("grpc_callback_host", "127.0.0.2", "name the backend as all nodes find it"),
        ("launch_timeout_seconds", 1.9, "LAUNCH_TIMEOUT_SECONDS=1.9: .* allowed is at least 2: no"),
        ("orphan_grace_seconds", 30.0, "ORPHAN_GRACE_SECONDS=30: .* more than LAUNCH_TIMEOUT"),
    ],
)
def test_what_cannot_be_with_swarm_is_refused(setting: str, value: object, told: str) -> None:
    ENGINES["swarm"].check(Settings.model_validate(_ON_SWARM), Catalog({}))
    with pytest.raises(StartError, match=told):
        ENGINES["swarm"].check(Settings.model_validate(_ON_SWARM | {setting: value}), Catalog({}))
    ENGINES["docker"].check(Settings.model_validate({setting: value}), Catalog({}))


def test_a_placement_is_for_swarm_alone() -> None:
    placed = Entry(kind=Kind.ACTION, image="x", placement=["node.role==worker"])  # type: ignore[arg-type]
    ENGINES["swarm"].check(Settings.model_validate(_ON_SWARM), Catalog({"a": placed}))
    with pytest.raises(StartError, match=r"jobs\.a\.placement: is for SUPERVISOR_ENGINE=swarm"):
        ENGINES["docker"].check(Settings(), Catalog({"a": placed}))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"ready": "healthcheck"}, r"jobs\.a\.ready: a Swarm waits"),
        ({"healthcheck": {"command": ["/x"]}}, r"jobs\.a\.healthcheck: a Swarm waits"),
    ],
)
def test_a_health_check_is_not_for_swarm(keys: dict[str, object], told: str) -> None:
    checked = Entry.model_validate({"kind": "action", "image": "x", **keys})
    ENGINES["docker"].check(Settings(), Catalog({"a": checked}))
    with pytest.raises(StartError, match=told):
        ENGINES["swarm"].check(Settings.model_validate(_ON_SWARM), Catalog({"a": checked}))


def test_the_nodes_of_a_swarm_pull_by_themselves() -> None:
    settings = Settings.model_validate(_ON_SWARM)
    ENGINES["swarm"].check(settings, Catalog({"a": _an_entry(pull="never")}))
    with pytest.raises(
        StartError, match=r"jobs\.a\.pull = 'missing': .* allowed is never: the nodes"
    ):
        ENGINES["swarm"].check(settings, Catalog({"a": _an_entry(pull="missing")}))
    with pytest.raises(StartError, match=r"jobs\.a\.platform = 'linux/arm64': .* with `placement`"):
        ENGINES["swarm"].check(settings, Catalog({"a": _an_entry(platform="linux/arm64")}))
    ENGINES["docker"].check(Settings(), Catalog({"a": _an_entry(pull="always")}))


def _an_entry(**keys: str) -> Entry:
    return Entry.model_validate({"kind": Kind.ACTION, "image": "x", **keys})


def test_on_a_swarm_what_runs_is_taken_over_unless_it_is_said() -> None:
    assert "adopt" == adapted(Settings.model_validate(_ON_SWARM)).supervisor_on_start
    said = Settings.model_validate(_ON_SWARM | {"supervisor_on_start": "remove"})
    assert "remove" == adapted(said).supervisor_on_start
    assert "remove" == adapted(Settings()).supervisor_on_start


def test_more_launches_may_be_under_way_on_a_swarm_unless_it_is_said_how_many() -> None:
    assert 16 == adapted(Settings.model_validate(_ON_SWARM)).max_launches_under_way
    said = Settings.model_validate({**_ON_SWARM, "max_launches_under_way": 3})
    assert 3 == adapted(said).max_launches_under_way
    assert 8 == adapted(Settings()).max_launches_under_way


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"runtime": "runsc"}, r"jobs\.a\.runtime: is not for SUPERVISOR_ENGINE=swarm: a service"),
        ({"gpus": 1}, r"jobs\.a\.gpus: is not for SUPERVISOR_ENGINE=swarm: a service has no GPUs"),
    ],
)
def test_a_key_that_a_service_does_not_have_is_refused_with_the_reason(
    keys: dict[str, Any], told: str
) -> None:
    catalog = Catalog({"a": Entry.model_validate({"kind": "action", "image": "x"} | keys)})
    ENGINES["docker"].check(Settings(), catalog)
    with pytest.raises(StartError, match=told):
        ENGINES["swarm"].check(Settings.model_validate(_ON_SWARM), catalog)


@pytest.mark.parametrize(("engine", "settings"), [("docker", {}), ("swarm", _ON_SWARM)])
def test_a_folder_of_the_host_has_to_be_allowed(engine: str, settings: dict[str, Any]) -> None:
    keys = {"kind": "action", "image": "x", "volumes": ["cache:/cache", "/srv/data/x:/data"]}
    catalog = Catalog({"a": Entry.model_validate(keys)})
    allowed = settings | {"allowed_host_paths": "/srv/data"}
    ENGINES[engine].check(Settings.model_validate(allowed), catalog)
    told = r"jobs\.a\.volumes: /srv/data/x: is not in ALLOWED_HOST_PATHS, which is not set"
    with pytest.raises(StartError, match=told):
        ENGINES[engine].check(Settings.model_validate(settings), catalog)


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ({"user": "1000"}, True),
        ({"user": "0:worker"}, True),
        ({}, False),
        ({"user": ""}, False),
        ({"user": "worker:1000"}, False),
        ({"image": None}, True),
    ],
)
def test_a_swarm_needs_the_number_of_the_user_that_reads_a_file(
    keys: dict[str, str | None], fits: bool
) -> None:
    settings = Settings.model_validate(_ON_SWARM)
    job = {"kind": Kind.ACTION, "image": "x", "auth": "file", **keys}
    catalog = Catalog({"timer": Entry.model_validate(job)})
    ENGINES["docker"].check(settings, catalog)
    if fits:
        ENGINES["swarm"].check(settings, catalog)
        return
    with pytest.raises(StartError, match=r'jobs.timer.auth: "file" needs a `user` that'):
        ENGINES["swarm"].check(settings, catalog)
