"""The commands of `area-supervisor`, one module each."""
