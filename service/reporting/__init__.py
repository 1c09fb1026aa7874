"""The log events, metrics and spans about requests and jobs."""
