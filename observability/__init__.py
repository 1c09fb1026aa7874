"""Logs, metrics, traces and the HTTP endpoint. Does not depend on the service."""
