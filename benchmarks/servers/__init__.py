"""Measured programs: servers for comparison, and the service without Docker."""
