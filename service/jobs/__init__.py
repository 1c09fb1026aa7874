"""What a job is: its states, what a request may ask, the catalogue, the workload to run."""
