"""The gRPC server and its services (jobs, health, reflection), and a health client."""
