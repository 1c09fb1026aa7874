"""The measurements: each is given a `Bench` and gives a `Result`."""
