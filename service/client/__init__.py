"""How the command line finds a supervisor, and calls it."""
