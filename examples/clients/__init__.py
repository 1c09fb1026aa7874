"""Clients of the supervisor, to copy."""
