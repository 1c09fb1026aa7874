"""The interface to what runs workloads, and an adapter for each engine."""
