"""The commands of `area-supervisor`."""
