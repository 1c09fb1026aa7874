"""Helpers that know nothing of jobs: retries, tasks, limits of the process, text files."""
