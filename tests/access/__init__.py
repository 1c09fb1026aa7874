"""Attempts to get in, at the real ports of a supervisor on the engine in memory."""
