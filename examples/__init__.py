"""A backend, workers and clients: try the supervisor with them, and copy them."""
