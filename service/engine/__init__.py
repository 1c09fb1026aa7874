"""The interface to an engine, which runs workloads; an adapter is a room of its own."""
