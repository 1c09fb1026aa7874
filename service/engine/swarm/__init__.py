"""The adapter for Docker Swarm. It talks to a manager with docker-py, through `engine/docker`."""
