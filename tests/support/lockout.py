"""A Docker that has locked itself out (moby/moby issue 46661): no test can pass on it.

Before version 23, two parts of Docker's network code may wait for each other, and from then on
nothing starts and nothing ends. Sixteen threads that started short containers brought it about
after some thousands. It is told from every other failure by the daemon's own account of what
its goroutines wait for.
"""

from contextlib import closing

import docker
import requests

from scripts.private_engine import PrivateEngine
from tests.support import containers

_ANSWER_SECONDS = 15
_WAIT_FOR_EACH_OTHER = ("getSvcRecords", "processEndpointDelete")


class EngineLockedOutError(Exception):
    """The test is run again, once, and the summary counts that: see `only_rerun`."""


def mended(engine: PrivateEngine) -> bool:
    """Whether it was locked out. If so, it is a new and empty one now."""
    if _tells_its_networks(engine) or not is_account_of_it(engine.goroutines()):
        return False
    engine.kill()
    engine.start()
    with closing(docker.DockerClient(engine.host)) as client:
        containers.remove_everything(client)
    return True


def is_account_of_it(goroutines: str) -> bool:
    """Whether goroutines say that the two are waiting."""
    return all(name in goroutines for name in _WAIT_FOR_EACH_OTHER)


def _tells_its_networks(engine: PrivateEngine) -> bool:
    """Whether the network code answers, or there is nobody who could."""
    try:
        with closing(docker.APIClient(engine.host, timeout=_ANSWER_SECONDS)) as api:
            api.networks()
    except (docker.errors.DockerException, requests.RequestException) as error:
        return not isinstance(error, requests.ReadTimeout)
    return True
