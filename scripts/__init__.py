"""Programs around the supervisor: for the demo, the tests and the makefile.

Nothing here is part of the supervisor itself, and nothing of it is installed with it.
"""
