"""The adapter for Docker and Podman; the only code that knows Docker."""
