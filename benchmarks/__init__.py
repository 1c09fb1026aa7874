"""Measures the supervisor beside the bare Engine and bare gRPC servers."""
