"""A backend and a worker to try the supervisor with, and to start your own from."""
