"""The console: a page for people, on a port of its own. It calls the API of jobs, nothing else."""
