"""Makes tokens. The access file has only their SHA-256."""

import secrets
from hashlib import sha256

_BYTES = 32


def new_token() -> str:
    """A token of 32 random bytes, in letters, digits, - and _."""
    return secrets.token_urlsafe(_BYTES)


def hash_line(token: str) -> str:
    """The line of the access file for a token."""
    return f"sha256:{sha256(token.encode()).hexdigest()}"
