"""Tells the backend of jobs that have failed, if `REPORT_CRASHES` is set."""
