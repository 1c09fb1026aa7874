"""What somebody else has written, as a part of a message that is one line."""

_SHOWN_CHARACTERS = 80


def printable(text: str) -> str:
    """The text as it is, or as a Python literal if there is in it what ends a line."""
    return text if text.isprintable() else repr(text)


def shown(text: str) -> str:
    """A client's text, quoted and short enough for an error message."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
