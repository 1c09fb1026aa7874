"""The compose file with and without its profile, as the Engine's own Compose reads it.

No registry can be reached, so on the Engine other images stand in for those of the profile: what is
shown is that the Engine makes each container as it is described, and not that it then works.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from scripts.private_engine import PrivateEngine
from service.settings import Settings
from tests.dashboards import alloy
from tests.support import worker
from tests.support.compose import PROFILE, ROOT, Compose, mounts, published

PAGE = (ROOT / "docs" / "deploy.md").read_text()
_OBSERVERS = {"prometheus", "jaeger", "loki", "alloy", "grafana"}
_SOCKET = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def compose(engine: PrivateEngine, tmp_path_factory: pytest.TempPathFactory) -> Compose:
    return Compose(engine, tmp_path_factory.mktemp("compose"))


@pytest.fixture(scope="module")
def services(compose: Compose) -> Mapping[str, Any]:
    return compose.config(PROFILE)


@pytest.fixture
def stand_ins(services: Mapping[str, Any], docker_client: docker.DockerClient) -> Iterator[None]:
    """The tests' worker under the name of each image."""
    names = [service["image"] for service in services.values()]
    for name in names:
        repository, _, tag = name.partition(":")
        docker_client.images.get(worker.IMAGE).tag(repository, tag or "latest")
    yield
    for name in names:
        docker_client.images.remove(name)


@pytest.fixture
def made(compose: Compose, docker_client: docker.DockerClient) -> Callable[..., set[str]]:
    """Has the Engine make the containers, and says of which services they are."""

    def make(*options: str, variables: str = "") -> set[str]:
        variables += f"\n{compose.socket}\n"
        try:
            compose.run(*options, "up", "--no-start", variables=variables)
            found = docker_client.api.containers(all=True)
        finally:
            compose.down(variables=variables)
        return {container["Labels"]["com.docker.compose.service"] for container in found}

    return make


def test_it_reads_the_same_with_the_profile_and_without(
    services: Mapping[str, Any], compose: Compose
) -> None:
    assert services["supervisor"] == compose.config()["supervisor"]
    assert {"supervisor"} | _OBSERVERS == services.keys()
    profiles = {name: service.get("profiles") for name, service in services.items()}
    assert {"supervisor": None} | {name: ["observability"] for name in _OBSERVERS} == profiles


@pytest.mark.usefixtures("stand_ins")
def test_the_profile_is_up_if_an_option_or_a_variable_asks_for_it(
    made: Callable[..., set[str]],
) -> None:
    assert {"supervisor"} == made()
    assert {"supervisor"} | _OBSERVERS == made(PROFILE)
    assert {"supervisor"} | _OBSERVERS == made(variables="COMPOSE_PROFILES=observability")


def test_alloy_finds_the_supervisors_container_and_no_other(
    services: Mapping[str, Any], docker_client: docker.DockerClient
) -> None:
    discovery = alloy.read(ROOT / "dashboards/alloy/config.alloy").block("discovery.docker")
    name = services["supervisor"]["container_name"]
    made = [
        docker_client.containers.create(worker.IMAGE, name=each)
        for each in (name, f"{name}_2", f"my_{name}")
    ]
    chosen = discovery.block("filter")
    (key,), values = chosen.strings("name"), chosen.strings("values")
    found = docker_client.api.containers(all=True, filters={key: values})
    for container in made:
        container.remove()
    assert [[f"/{name}"]] == [container["Names"] for container in found]


def test_the_log_of_each_service_is_rotated(services: Mapping[str, Any]) -> None:
    sizes = {"supervisor": ("20m", "5")} | dict.fromkeys(_OBSERVERS, ("10m", "3"))
    for name, (size, files) in sizes.items():
        options = {"max-size": size, "max-file": files}
        assert {"driver": "json-file", "options": options} == services[name]["logging"], name


def test_another_log_driver_comes_without_the_sizes_of_this_one(
    compose: Compose, tmp_path: Path
) -> None:
    override = tmp_path / "override.yml"
    override.write_text("services: {supervisor: {logging: {driver: journald}}}")
    found = compose.config("--file", str(override))["supervisor"]["logging"]
    assert ("journald", {}) == (found["driver"], found.get("options", {}))


def test_traces_are_exported_only_if_somebody_asks_for_it(
    services: Mapping[str, Any], compose: Compose
) -> None:
    variable = "OTEL_EXPORTER_OTLP_ENDPOINT"
    assert "" == services["supervisor"]["environment"][variable]
    line = f"{variable}=http://jaeger:4317"
    asked = compose.config(variables=line)["supervisor"]["environment"]
    assert "http://jaeger:4317" == asked[variable]
    assert line in (ROOT / "docker-compose.yml").read_text()


def test_a_restart_takes_over_the_jobs_unless_somebody_asks_for_their_removal(
    services: Mapping[str, Any], compose: Compose
) -> None:
    variable = "SUPERVISOR_ON_START"
    assert "adopt" == services["supervisor"]["environment"][variable]
    asked = compose.config(variables=f"{variable}=remove")["supervisor"]["environment"]
    assert "remove" == asked[variable]


def test_every_image_of_the_profile_has_a_version(services: Mapping[str, Any]) -> None:
    for name in _OBSERVERS:
        assert re.fullmatch(r"[a-z]+/[a-z-]+:v?\d+\.\d+\.\d+", services[name]["image"])


def test_the_profile_is_published_on_the_loopback_alone(services: Mapping[str, Any]) -> None:
    ports = [port for name in _OBSERVERS for port in published(services[name])]
    assert {"9090", "16686", "4317", "3000"} == {inside for _, inside in ports}
    assert {"127.0.0.1"} == {address for address, _ in ports}


def test_what_is_mounted_is_there_and_read_only(services: Mapping[str, Any]) -> None:
    for name in _OBSERVERS:
        for source, _, mode in mounts(services[name]):
            if source.startswith("/"):
                assert "ro" == mode, source
                assert source == _SOCKET or any(Path(source).iterdir()), source


def test_the_configurations_that_commands_name_are_mounted(services: Mapping[str, Any]) -> None:
    named = {
        "prometheus": ("/etc/prometheus/prometheus.yml", ROOT / "dashboards/prometheus"),
        "loki": ("/etc/loki/loki.yml", ROOT / "dashboards/loki"),
        "alloy": ("/etc/alloy/config.alloy", ROOT / "dashboards/alloy"),
    }
    for name, (path, folder) in named.items():
        assert any(word.endswith(path) for word in services[name]["command"]), name
        target = str(Path(path).parent)
        assert (str(folder), target, "ro") in mounts(services[name])
        assert (folder / Path(path).name).is_file()


def test_the_override_for_live_restore_mounts_the_folder_of_its_socket(
    compose: Compose, tmp_path: Path
) -> None:
    texts = re.findall(r"^```yaml\n(services:.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (text,) = (text for text in texts if "DOCKER_HOST" in text)
    (tmp_path / "override.yml").write_text(text)
    merged = compose.run("--file", str(tmp_path / "override.yml"), "config")
    supervisor = yaml.safe_load(merged)["services"]["supervisor"]
    socket = Path(supervisor["environment"]["DOCKER_HOST"].removeprefix("unix://"))
    assert (str(socket.parent), str(socket.parent), "ro") in mounts(supervisor)
    assert f"-H unix://{socket}`" in PAGE


def test_with_the_proxy_the_supervisor_has_no_socket_of_the_engine(compose: Compose) -> None:
    proxied = compose.run("--file", str(ROOT / "docker-compose.proxy.yml"), "config")
    services = yaml.safe_load(proxied)["services"]
    supervisor, proxy = services["supervisor"], services["engine-proxy"]
    sources = {source for source, _, _ in mounts(supervisor)}
    assert {"/dev/null", "engine", "history"} == sources - {str(ROOT)}
    assert ("engine", "/run/engine", "ro") in mounts(supervisor)
    assert "unix:///run/engine/docker.sock" == supervisor["environment"]["DOCKER_HOST"]
    user, group = supervisor["user"].split(":")
    assert "0" != user
    assert f"0:{group}" == proxy["user"]  # root's, as the Engine's socket, with this group
    assert ("none", True, ["ALL"]) == (
        proxy["network_mode"],
        proxy["read_only"],
        proxy["cap_drop"],
    )
    assert ("/var/run/docker.sock", "/var/run/docker.sock", "rw") in mounts(proxy)


def test_prometheus_scrapes_the_port_that_the_supervisor_has(services: Mapping[str, Any]) -> None:
    text = (ROOT / "dashboards/prometheus/prometheus.yml").read_text()
    (job,) = yaml.safe_load(text)["scrape_configs"]
    port = Settings.model_fields["metrics_port"].default
    assert [{"targets": [f"supervisor:{port}"]}] == job["static_configs"]
    assert "supervisor" == job["job_name"]  # which the alerts rely on
    assert str(port) == services["supervisor"]["environment"]["METRICS_PORT"]


def test_prometheus_keeps_exemplars(services: Mapping[str, Any]) -> None:
    assert "--enable-feature=exemplar-storage" in services["prometheus"]["command"]
