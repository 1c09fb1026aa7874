"""Helpers that do not depend on jobs: retries, tasks, limits of the process, text files."""
