"""Escapes and shortens texts from outside, for messages of one line."""

_SHOWN_CHARACTERS = 80


def printable(text: str) -> str:
    """The text, or a Python literal of it if it has characters that cannot be printed."""
    return text if text.isprintable() else repr(text)


def shown(text: str) -> str:
    """A client's text, quoted and cut for an error message."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
