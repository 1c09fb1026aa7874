"""`area-supervisor token`: makes a token for a client."""

from service.access.tokens import hash_line, new_token
from service.cli.output import say


def token() -> None:
    """Make a token; print it, which nothing else ever does, and its line for the access file."""
    made = new_token()
    say(made)
    say(hash_line(made))
