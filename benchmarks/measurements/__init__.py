"""The measurements. Each takes a `Bench` and returns a `Result`."""
