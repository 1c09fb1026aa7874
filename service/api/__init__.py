"""The gRPC edge: the server, its services (jobs, health, reflection), a health client."""
