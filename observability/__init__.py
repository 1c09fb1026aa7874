"""Logs, metrics, traces and the HTTP endpoint. Knows nothing of the service it observes."""
