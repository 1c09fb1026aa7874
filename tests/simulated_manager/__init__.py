"""A manager of a Swarm that is simulated: its API is real, and what its tasks run is not.

The contract suite passes on it (tests/engine/test_simulated_manager.py), and the benchmarks give it
more jobs than a machine could run.
"""
