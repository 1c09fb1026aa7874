"""What is measured in processes of its own: servers to compare with, and the service on no Docker."""
