"""Which managers a supervisor can work with, and what it says of the others."""

from typing import Any, cast

import pytest

from service.engine.docker.client import Client
from service.engine.swarm.setup_check import check_swarm
from service.errors import EngineUnavailable, StartError


class _Engine:
    """A client of an engine that says this of itself."""

    def __init__(
        self, state: str, *, manages: bool = False, api: str = "1.41", error: str = "", **more: Any
    ) -> None:
        self.api_version = api
        swarm = {"LocalNodeState": state, "ControlAvailable": manages, "Error": error}
        self._info = {"Swarm": swarm, **more}

    def info(self) -> dict[str, Any]:
        return self._info


def _check(engine: _Engine) -> None:
    check_swarm(cast("Client", engine))


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (_Engine("active", manages=True, api="1.40"), "is too old; update it to Docker 20.10"),
        (_Engine("inactive"), "is in no Swarm; run `docker swarm init` there, or let DOCKER_HOST"),
        (
            _Engine("inactive", LiveRestoreEnabled=True),
            "is in no Swarm; turn `live-restore` off, which Docker refuses in a Swarm, and run",
        ),
        (_Engine("locked"), "is locked; run `docker swarm unlock` there"),
        (_Engine("active"), "is a worker; let DOCKER_HOST name a manager, or run `docker node pr"),
    ],
)
def test_what_will_never_do_is_told_in_one_line_with_help(engine: _Engine, words: str) -> None:
    with pytest.raises(StartError) as caught:
        _check(engine)
    assert words in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize(
    "engine", [_Engine("pending"), _Engine("error"), _Engine("active", error="no quorum")]
)
def test_what_may_do_later_is_waited_for(engine: _Engine) -> None:
    with pytest.raises(EngineUnavailable, match=r"the manager is not ready: (pending|error|no q)"):
        _check(engine)


def test_a_manager_will_do() -> None:
    _check(_Engine("active", manages=True))
