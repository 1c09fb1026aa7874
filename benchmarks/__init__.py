"""What the supervisor costs, measured beside the bare Engine and the bare gRPC server."""
