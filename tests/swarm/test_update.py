"""Two supervisors that are replaced one after the other, as an update of a stack does it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import node
from tests.support.supervised import Supervised
from tests.support.swarm import Swarm
from tests.swarm.conftest import Begin
from tests.swarm.two import Both, runs_on

_MANY, _BEFORE = 24, 3

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def both(managers: Swarm, begin: Begin) -> Both:
    """At two managers."""
    return begin(managers.managers[0]), begin(managers.managers[1])


def _replace(supervised: Supervised) -> None:
    """As Swarm does it: the next one has to be healthy before anything else is done."""
    assert 0 == supervised.stop()
    supervised.start()


def _lines(output: Any) -> Iterator[dict[str, Any]]:
    for line in output:
        yield json.loads(line)


def test_a_node_client_that_knows_both_loses_and_doubles_no_launch(
    both: Both, managers: Swarm
) -> None:
    address = "ipv4:" + ",".join(f"127.0.0.1:{each.port}" for each in both)
    wanted = {"address": address, "many": _MANY, "milliseconds": 50, "bridging": True}
    with node.running("launches.js", wanted) as client:
        told = _lines(client.stdout)
        found = [next(told) for _ in range(_BEFORE)]
        for each in both:
            _replace(each)
        found += list(told)
    assert [] == [each for each in found if each["code"]]
    assert sorted(each["identifier"] for each in found) == sorted(
        identifier for machine in managers.nodes for identifier in runs_on(machine)
    )
