"""What is done with a job: its launch, its kill, its exit, removing its workload."""
