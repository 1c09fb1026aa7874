"""The log events, metrics and spans about a request and about a job."""
