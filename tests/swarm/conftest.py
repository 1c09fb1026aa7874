"""The Swarms of tests that take minutes."""

from tests.engine.conftest import rig_of_three, swarm_of_three

__all__ = ["rig_of_three", "swarm_of_three"]
