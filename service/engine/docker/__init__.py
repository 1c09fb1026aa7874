"""The adapter for Docker and Podman. With engine/swarm, the only code that knows Docker."""
