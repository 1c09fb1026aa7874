"""What the demo, the tests and the makefile need around the supervisor.

Nothing here is part of the supervisor itself, and nothing of it is installed with it.
"""
