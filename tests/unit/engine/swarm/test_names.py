"""Services are named by SwarmKit's grammar, and no two identifiers share a name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.swarm.names import SWARM_NAMES
from service.jobs.workload_names import DEFAULT_INSTANCE, base_name

# manager/controlapi/common.go of SwarmKit: validateAnnotations.
_SWARMKITS = re.compile(r"[a-zA-Z0-9](?:[-_]*[A-Za-z0-9]+)*")
_SUFFIX = "-0123456789abcdef"

identifiers = st.text(min_size=1, max_size=200) | st.from_regex(r"[aA.-]{1,70}", fullmatch=True)


def _name(identifier: str) -> str:
    return base_name(identifier, DEFAULT_INSTANCE, SWARM_NAMES)


@given(identifiers)
def test_every_name_is_one_for_swarm_with_what_a_launch_adds(identifier: str) -> None:
    for name in (_name(identifier), _name(identifier) + _SUFFIX):
        assert _SWARMKITS.fullmatch(name)
        assert len(name) <= 63


@given(identifiers, identifiers)
def test_two_identifiers_have_two_names_whatever_their_case(one: str, other: str) -> None:
    assert (one == other) == (_name(one).lower() == _name(other).lower())


@pytest.mark.parametrize("identifier", ["a", "a-1", "a_b", "0123456789abcdef" * 2, "a--b"])
def test_an_identifier_that_can_be_a_name_is_one(identifier: str) -> None:
    assert identifier == _name(identifier)


@pytest.mark.parametrize("identifier", ["A", "a.b", "-a", "a_", "é", "a" * 47, "a--0123456789ab"])
def test_others_get_a_hash(identifier: str) -> None:
    assert re.fullmatch(r"[a-zA-Z0-9_-]+--[0-9a-f]{12}", _name(identifier))
