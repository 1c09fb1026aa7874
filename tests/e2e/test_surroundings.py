"""Engines and proxies that are not like the usual ones, and what is told of them."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from scripts.private_engine import PrivateEngine
from service._generated.area_types_pb2 import Response
from tests.conftest import Start
from tests.e2e.test_stop import Watch
from tests.support import containers, worker
from tests.support.http_line import HttpLine
from tests.support.supervised import Supervised, eventually

_RECONNECTS = "supervisor_event_stream_reconnects_total"
_IDLE = 6.0  # above the five seconds after which an end counts as that of an idle stream


# A proxy that cuts off what is idle


def test_a_proxy_that_cuts_off_idle_events_costs_no_readiness(
    start: Start, meddled: HttpLine, docker_client: docker.DockerClient
) -> None:
    supervised = start(DOCKER_HOST=meddled.host)
    watch = Watch(supervised, "")
    assert Response() == supervised.launch("timer", "t-1")
    for count in (1, 2):
        time.sleep(_IDLE)
        assert 1 == meddled.end_events()
        eventually(lambda n=count: n == supervised.metric(_RECONNECTS))  # type: ignore[misc]
    containers.one(docker_client, "t-1").kill()
    eventually(supervised.is_idle)
    assert ["SERVING"] == watch.told
    assert [] == list(supervised.events("engine.away"))
    assert 1 == len(list(supervised.events("engine.in_step")))


# An Engine that remaps users


class _Remapping(PrivateEngine):
    """Remaps users. It needs entries of its own in /etc, which nobody else sees.

    Its containerd has to see what it mounts, so both are in one mount namespace.
    """

    def command(self, program: str, *arguments: str) -> list[str]:
        if program != "dockerd":
            return super().command("unshare", "--mount", program, *arguments)
        assert self._containerd is not None
        # As long as it is `unshare`, it may not have its namespace yet, and containers of a daemon
        # in another one would have no files.
        comm = Path(f"/proc/{self._containerd.pid}/comm")
        eventually(lambda: "containerd\n" == comm.read_text())
        self.socket.parent.chmod(0o711)  # the remapped root has to get to its folders
        ids = self.socket.parent / "ids"
        ids.write_text("daemon:200000:65536\n", encoding="ascii")
        mounts = "".join(f"mount --bind {ids} /etc/{name} && " for name in ("subuid", "subgid"))
        script = f'{mounts}exec dockerd "$@" --userns-remap=daemon'
        there = ("--mount", "--root", "--wd", f"--target={self._containerd.pid}")
        return super().command("nsenter", *there, "sh", "-c", script, "sh", *arguments)


@pytest.fixture(scope="module")
def remapping() -> Iterator[PrivateEngine]:
    with _Remapping() as engine:
        with closing(docker.DockerClient(engine.host)) as client:
            worker.make(client)
        yield engine


@pytest.fixture
def on_it(remapping: PrivateEngine, catalog: Path, tmp_path: Path) -> Iterator[Supervised]:
    settings = {"DOCKER_HOST": remapping.host, "JOB_CATALOG": str(catalog)}
    with Supervised(tmp_path, settings) as supervised:
        yield supervised
        supervised.kill_all()


def test_an_engine_that_remaps_users_is_told_and_a_launch_says_what_helps(
    on_it: Supervised,
) -> None:
    (told,) = eventually(lambda: list(on_it.events("surroundings.noticed")))
    assert "userns-remap" == told["about"]
    assert "JOB_NETWORK" in told["helps"]
    answer = on_it.launch("timer", "t-1")
    assert 502 == answer.error.code
    assert "when user namespaces are enabled" in answer.error.message
    assert "JOB_NETWORK has to be a network of the Engine" in answer.error.message


def test_on_an_engine_that_remaps_users_jobs_run_in_another_network(on_it: Supervised) -> None:
    assert 0 == on_it.stop()
    on_it.start(JOB_NETWORK="none", GRPC_CALLBACK_HOST="backend")
    assert Response() == on_it.launch("timer", "t-1")
    assert ["t-1"] == on_it.running()


# A start that ends what ran


def test_a_start_that_ends_jobs_says_how_to_keep_them(start: Start) -> None:
    supervised = start()
    assert Response() == supervised.launch("timer", "t-1")
    assert Response() == supervised.launch("timer", "t-2")
    assert 0 == supervised.stop()
    supervised.start()
    (told,) = supervised.events("janitor.ended_jobs")
    assert ("warning", 2) == (told["level"], told["jobs"])
    assert "SUPERVISOR_ON_START=adopt" in told["helps"]


def test_a_start_that_ends_nothing_has_nothing_to_say(start: Start) -> None:
    supervised = start(GO_ENV="development", SUPERVISOR_ON_START="adopt")
    assert Response() == supervised.launch("timer", "t-1")
    assert 0 == supervised.stop()
    supervised.start()
    assert 0 == supervised.stop()
    assert Response() == supervised.start(SUPERVISOR_ON_START="adopt").kill("t-1")
    assert 0 == supervised.stop()
    supervised.start(SUPERVISOR_ON_START="remove")
    assert [] == list(supervised.events("janitor.ended_jobs"))
