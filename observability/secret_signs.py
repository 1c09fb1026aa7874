"""Says whether a configured text looks as if it held a secret.

A secret may stand where it does not belong: a password in an address, a token or a private key
in place of its file. What looks like a word or a path is shown, and so is a passphrase of words.
"""

import re
from typing import Final

from observability.escaping import printable

NOT_SHOWN: Final = "(not shown)"

# A user and a password in an address; its query; a private key; headers; a login of Docker's.
# Folders may have a `@` or a `?`, too. `Path` leaves one `/` of the two in an address.
_SIGNS = re.compile(
    r"\A[^/].*[@?]|\A[^:]*:.*@|:/.*[?#]|-----BEGIN |\b(bearer|basic) \S|\"auths?\""
    r"|(token|secret|passw(or)?d|key)\s*=",
    re.IGNORECASE | re.DOTALL,
)
# What may be a token: it is long, and of more and shorter pieces than names and dates are.
_LONG = re.compile(r"[\w+=-]{20,}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{20,}(?:=+(?!\w))?")
_PATH_OR_ADDRESS = re.compile(r"\A/|:/")
_LETTER = re.compile(r"[A-Za-z0-9]")
_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_PIECES, _LENGTH_OF_PIECE = 10, 3


def may_be_secret(text: str) -> bool:
    """Whether a text looks like a secret, or like something with one in it."""
    long = _LONG.findall(text)
    return bool(_SIGNS.search(text)) or any(map(_is_random, long)) or _has_base64(text)


def unless_secret(text: str) -> str:
    """The text, or a note in its place if it may hold a secret."""
    return NOT_SHOWN if may_be_secret(text) else text


def shown_setting(text: str) -> str:
    """The same of the value of a setting, for a message of one line."""
    return printable(unless_secret(text))


def _has_base64(text: str) -> bool:
    """A `/` may be of a path as well; a `=` at the end may not."""
    may_be_path = bool(_PATH_OR_ADDRESS.search(text))
    runs = _BASE64.findall(text)
    return any(run.endswith("=") or (not may_be_path and _is_random(run)) for run in runs)


def _is_random(text: str) -> bool:
    letters = "".join(_LETTER.findall(text))
    pieces = len(_PIECE.findall(letters))
    return pieces >= _PIECES and len(letters) < pieces * _LENGTH_OF_PIECE
