"""Pulls from real registries on loopback, and from one that fails on demand."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import docker.errors
import pytest
from opentelemetry import trace
from structlog.testing import capture_logs

from scripts.ports import free_port
from scripts.private_engine import PrivateEngine
from service.app.metric_labels import new_metrics
from service.engine.capabilities import PullProgress
from service.engine.docker.connection import Connection
from service.engine.docker.engine import DockerEngine
from service.engine.workload_spec import ImageSource, WorkloadSpec
from service.errors import (
    EngineError,
    EngineUnavailable,
    ImageMissing,
    RegistryAway,
    RegistryDenied,
    RegistryLimited,
)
from tests.engine.rigs import until
from tests.support import worker
from tests.support.failing_registry import (
    HUB_SAYS,
    FailingRegistry,
    Refusal,
    a_failing_registry,
    refusal,
)
from tests.support.line import a_tcp_line
from tests.support.recorded_spans import Recorded
from tests.support.registry import PASSWORD, USER, Pushed, Registry, a_local_registry

_WRONG = "a-wrong-password"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One that asks nobody who they are."""
    with a_local_registry(tmp_path_factory.mktemp("open"), logins=False) as made:
        yield made


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """One that asks for a login."""
    with a_local_registry(tmp_path_factory.mktemp("closed"), logins=True) as made:
        yield made


@pytest.fixture
def failing() -> Iterator[FailingRegistry]:
    with a_failing_registry() as made:
        yield made


@pytest.fixture(autouse=True)
def forgetting(docker_client: docker.DockerClient) -> Iterator[None]:
    """Remove what was pulled."""
    before = {str(image.id) for image in docker_client.images.list()}
    yield
    for image in docker_client.images.list():
        names = [*image.tags, *image.attrs.get("RepoDigests", ())]
        for name in names:
            # A name may go with another one. Podman knows no tag that has a digest.
            with suppress(docker.errors.APIError):
                if name.startswith("127.0.0.1:"):
                    docker_client.images.remove(name, force=True)
    assert {str(image.id) for image in docker_client.images.list()} == before


@pytest.fixture
def image(registry: Registry, docker_client: docker.DockerClient) -> Pushed:
    """An image that the Engine does not have by this name."""
    return registry.push(docker_client, worker.IMAGE, "tests/worker:1")


@pytest.fixture
def private_image(closed_registry: Registry, docker_client: docker.DockerClient) -> Pushed:
    """Another one, behind a login."""
    return closed_registry.push(docker_client, worker.IMAGE, "private/worker:1")


@pytest.fixture
def config_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Writes the file of Docker's clients."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(content: object) -> None:
        (tmp_path / "config.json").write_text(json.dumps(content))

    return write


def an_adapter(host: str) -> DockerEngine:
    metrics = new_metrics([], version="test", engine="docker", mode="test")
    return DockerEngine(Connection(host), {"test.pulls": "1"}, metrics)


@pytest.fixture
async def adapter(engine: PrivateEngine) -> AsyncIterator[DockerEngine]:
    made = an_adapter(engine.host)
    yield made
    await made.close()


async def pull(adapter: DockerEngine, image: str, platform: str = "") -> list[PullProgress]:
    """Pull an image; what was told of it."""
    told: list[PullProgress] = []
    capability = adapter.capabilities.pull
    assert capability is not None
    await capability(image, platform, told.append)
    return told


def has(client: docker.DockerClient, image: str) -> bool:
    return bool(client.images.list(image))


async def test_an_image_is_pulled_with_news_of_its_layers(
    adapter: DockerEngine,
    image: Pushed,
    failing: FailingRegistry,
    docker_client: docker.DockerClient,
) -> None:
    await pull(adapter, image.name)
    assert has(docker_client, image.name)
    told = await pull(adapter, failing.image())
    last = told[-1]
    assert (1, 1) == (last.layers, last.layers_done)
    assert last.size == last.size_done


async def test_a_pull_is_a_span_with_its_image(
    adapter: DockerEngine, failing: FailingRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded()
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: recorded.provider)
    with recorded.tracer.start_as_current_span("request"):
        await pull(adapter, failing.image())
    (span,) = [each for each in recorded.spans if each.name == "pull"]
    assert {"container.image.name": failing.image()}.items() <= (span.attributes or {}).items()


async def test_an_image_is_pulled_by_its_digest(
    adapter: DockerEngine, image: Pushed, docker_client: docker.DockerClient
) -> None:
    await pull(adapter, image.by_digest)
    assert has(docker_client, image.by_digest)
    await pull(adapter, f"{image.name}@{image.digest}")


async def test_the_platform_of_an_image_is_heeded(
    adapter: DockerEngine, registry: Registry, image: Pushed, docker_client: docker.DockerClient
) -> None:
    both = registry.push_list(image, "list", "linux/amd64")
    with pytest.raises(ImageMissing, match=r"for linux/s390x: the registry .* does not have it"):
        await pull(adapter, both, "linux/s390x")
    assert not has(docker_client, both)
    await pull(adapter, both, "linux/amd64")
    assert has(docker_client, both)


# Logins


def _spellings(password: str) -> list[str]:
    login = Registry("x").config_json(password)["auths"]
    return [password, login["x"]["auth"]]  # type: ignore[index]


async def test_a_login_is_read_anew_for_each_pull(
    adapter: DockerEngine,
    closed_registry: Registry,
    private_image: Pushed,
    config_json: Callable[[object], None],
    docker_client: docker.DockerClient,
) -> None:
    for logins in ({}, closed_registry.config_json(_WRONG)):
        config_json(logins)
        with capture_logs() as logs, pytest.raises(RegistryDenied) as denied:
            await pull(adapter, private_image.name)
        assert closed_registry.address in denied.value.message
        told = str((denied.value.message, logs))
        assert not [each for each in _spellings(_WRONG) if each in told]
    config_json(closed_registry.config_json())
    with capture_logs() as logs:
        await pull(adapter, private_image.name)
    assert has(docker_client, private_image.name)
    assert not [each for each in _spellings(PASSWORD) if each in str(logs)]


_HELPER = """\
#!/bin/sh
[ "$1" = get ] && [ "$(cat)" = "ADDRESS" ] || exit 1
echo '{"Username": "USER", "Secret": "PASSWORD"}'
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Writes docker-credential-tests, a helper for logins."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def write(script: str) -> None:
        path = folder / "docker-credential-tests"
        path.write_text(script)
        path.chmod(stat.S_IRWXU)

    return write


@pytest.mark.parametrize("key", ["credHelpers", "credsStore"])
async def test_a_helper_is_asked_for_the_login(
    key: str,
    adapter: DockerEngine,
    private_image: Pushed,
    config_json: Callable[[object], None],
    helper: Callable[[str], None],
) -> None:
    address = private_image.name.partition("/")[0]
    config_json({key: {address: "tests"} if key == "credHelpers" else "tests"})
    script = _HELPER.replace("ADDRESS", address).replace("USER", USER)
    helper(script.replace("PASSWORD", PASSWORD))
    await pull(adapter, private_image.name)


@pytest.mark.parametrize(
    "script",
    [
        f"#!/bin/sh\necho {_WRONG}; exit 1\n",
        f"#!/bin/sh\necho {_WRONG}\n",
        f"#!/bin/sh\necho '[\"{_WRONG}\"]'\n",
    ],
)
async def test_a_helper_that_fails_is_told_and_tells_no_secret(
    script: str,
    adapter: DockerEngine,
    private_image: Pushed,
    config_json: Callable[[object], None],
    helper: Callable[[str], None],
) -> None:
    config_json({"credsStore": "tests"})
    helper(script)
    with capture_logs() as logs, pytest.raises(RegistryDenied) as denied:
        await pull(adapter, private_image.name)
    assert ["credentials.unusable"] == [each["event"] for each in logs]
    assert _WRONG not in str((logs, denied.value.message))


@pytest.mark.parametrize("content", [[], None, "x", {"auths": {"x": {"auth": "!"}}}, {"auths": 7}])
async def test_a_pull_goes_without_a_login_if_config_json_is_odd(
    content: object,
    adapter: DockerEngine,
    image: Pushed,
    config_json: Callable[[object], None],
) -> None:
    config_json(content)
    await pull(adapter, image.name)


# What a registry answers

_TOO_MANY = refusal(429, "TOOMANYREQUESTS", HUB_SAYS, Retry_After="30")
_BASIC = 'Basic realm="tests"'
ANSWERS: list[tuple[Refusal, type[EngineError], str]] = [
    (refusal(401, "UNAUTHORIZED", "authentication required"), RegistryDenied, "unauthorized"),
    (
        refusal(401, "UNAUTHORIZED", "log in", WWW_Authenticate=_BASIC),
        RegistryDenied,
        "config.json",
    ),
    (refusal(403, "DENIED", "not for you"), RegistryDenied, "pull access denied|not for you"),
    (Refusal(403, b"<html>no</html>"), RegistryDenied, "403"),
    (refusal(404, "MANIFEST_UNKNOWN", "manifest unknown"), ImageMissing, "unknown"),
    (refusal(404, "NAME_UNKNOWN", "repository name not known"), ImageMissing, "unknown|not known"),
    (_TOO_MANY, RegistryLimited, "reached your pull rate limit"),
    (Refusal(429, b"slow down", {"Retry-After": "30"}), RegistryLimited, "429"),
    (Refusal(500, b"oops"), RegistryAway, "500"),
    (Refusal(503, b"later"), RegistryAway, "503"),
]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    ANSWERS,
    ids=[f"{a.status}-{n}" for n, (a, _, _) in enumerate(ANSWERS)],
)
async def test_what_a_registry_answers_is_told_apart(
    answer: Refusal,
    kind: type[EngineError],
    words: str,
    adapter: DockerEngine,
    failing: FailingRegistry,
) -> None:
    failing.refusal = answer
    with pytest.raises(kind, match=words) as raised:
        await pull(adapter, failing.image())
    assert kind is type(raised.value)
    assert failing.image() in raised.value.message
    assert f"the registry {failing.address}" in raised.value.message


async def test_a_registry_that_refuses_connections_is_away(adapter: DockerEngine) -> None:
    with pytest.raises(RegistryAway, match="connection refused"):
        await pull(adapter, f"127.0.0.1:{free_port()}/tests/worker")


# Ends


@pytest.fixture(params=["unix", "tcp"])
def host(request: pytest.FixtureRequest, engine: PrivateEngine, tmp_path: Path) -> Iterator[str]:
    """Two ways to the Engine."""
    with a_tcp_line(tmp_path / "line", engine.socket) as line:
        yield engine.host if request.param == "unix" else line.host


@pytest.mark.parametrize("where", ["manifests", "blobs"])
async def test_a_pull_that_is_cancelled_is_stopped_and_leaves_nothing(
    where: str, host: str, failing: FailingRegistry, docker_client: docker.DockerClient
) -> None:
    failing.stalls_at = where
    adapter = an_adapter(host)
    pulling = asyncio.create_task(pull(adapter, failing.image()))
    await until(failing.stalled.is_set)
    pulling.cancel()
    await asyncio.wait({pulling})
    assert pulling.cancelled()
    await until(lambda: adapter._calls._pull_threads.busy == 0)
    if where == "blobs":  # Docker 20.10 stops with the next byte that it gets
        await until(failing.left.is_set)
    await adapter.close()
    assert not has(docker_client, failing.image())


async def test_what_was_stopped_can_be_pulled_later(
    adapter: DockerEngine, failing: FailingRegistry, docker_client: docker.DockerClient
) -> None:
    failing.stalls_at = "blobs"
    pulling = asyncio.create_task(pull(adapter, failing.image()))
    await until(failing.stalled.is_set)
    pulling.cancel()
    await until(failing.left.is_set)
    failing.stalls_at = ""
    await pull(adapter, failing.image())
    assert has(docker_client, failing.image())


@pytest.mark.parametrize("end", [PrivateEngine.kill, PrivateEngine.stop_daemon])
async def test_an_engine_that_ends_during_a_pull_is_away(
    end: Callable[[PrivateEngine], None],
    adapter: DockerEngine,
    failing: FailingRegistry,
    engine: PrivateEngine,
) -> None:
    failing.stalls_at = "blobs"
    pulling = asyncio.create_task(pull(adapter, failing.image()))
    await until(failing.stalled.is_set)
    try:
        await asyncio.to_thread(end, engine)
        with pytest.raises(EngineUnavailable):
            await pulling
    finally:
        await asyncio.to_thread(engine.start)


# Launches


async def test_an_image_for_another_platform_is_missing(
    adapter: DockerEngine, docker_client: docker.DockerClient
) -> None:
    own = docker_client.images.get(worker.IMAGE).attrs["Architecture"]
    other = "s390x" if own != "s390x" else "amd64"
    with pytest.raises(ImageMissing, match=f"{worker.IMAGE}: is on .* for another platform"):
        await adapter.start(_spec(f"linux/{other}"), timeout=30)
    begun = await adapter.start(_spec(f"linux/{own}"), timeout=30)
    await adapter.remove(begun.id, force=True)


def _spec(platform: str) -> WorkloadSpec:
    source = ImageSource(platform=platform)
    return WorkloadSpec(name="pulls-1", image=worker.IMAGE, arguments=(), source=source)
