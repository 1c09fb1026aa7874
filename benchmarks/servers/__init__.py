"""Programs that are measured: servers to compare with, and the service without Docker."""
