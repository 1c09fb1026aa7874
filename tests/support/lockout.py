"""A Docker that has locked itself out (moby/moby issue 46661): no test can pass on it.

Before version 23, two parts of Docker's network code may wait for each other, and from then on
nothing starts and nothing ends. It is told from every other failure by the daemon's own account
of what its goroutines wait for.
"""

from contextlib import closing

import docker
import pytest
import requests

from scripts.private_engine import PrivateEngine
from tests.support import containers

_ANSWER_SECONDS = 15
_WAIT_FOR_EACH_OTHER = ("getSvcRecords", "processEndpointDelete")
_WAITS = ("[semacquire", "[sync.Mutex.Lock")


class EngineLockedOutError(Exception):
    """Says what the two parts were at. The Makefile has tests that end with it run again, once."""


def tell_apart(item: pytest.Item, engine: PrivateEngine, failure: BaseException) -> None:
    """Restarts an Engine that is locked out, and raises EngineLockedOutError from the failure."""
    # Half a restart would help nobody; and a failure ends the test's time limit anyway.
    item.config.hook.pytest_timeout_cancel_timer(item=item)
    if not (account := account_of(engine)):
        return
    engine.kill()
    engine.start()
    raise EngineLockedOutError(account) from failure


def clean_up(engine: PrivateEngine) -> None:
    """What a teardown that has failed for it would have done."""
    with closing(docker.DockerClient(engine.host)) as client:
        containers.remove_everything(client)


def account_of(engine: PrivateEngine) -> str:
    """What the two parts are at, if they wait for each other; else empty."""
    return "" if _tells_its_networks(engine) else excerpt(engine.goroutines())


def excerpt(goroutines: str) -> str:
    """The stacks of the two, if both are there and wait for a lock; else empty."""
    waiting = [
        stack
        for stack in goroutines.split("\n\n")
        if any(state in stack.partition("\n")[0] for state in _WAITS)
    ]
    found = [[one for one in waiting if f").{name}(" in one] for name in _WAIT_FOR_EACH_OTHER]
    return "\n\n".join(each[0] for each in found) if all(found) else ""


def _tells_its_networks(engine: PrivateEngine) -> bool:
    """Whether the network code answers, or there is nobody who could."""
    try:
        with closing(docker.APIClient(engine.host, timeout=_ANSWER_SECONDS)) as api:
            api.networks()
    except requests.ReadTimeout:
        return False  # and its version it has told
    except (docker.errors.DockerException, requests.ConnectionError):
        pass
    return True
