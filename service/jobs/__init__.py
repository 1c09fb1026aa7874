"""Jobs: their states, the catalogue, the rules for requests, and the workload of a job."""
