"""What somebody else has written, as a part of a message that is one line."""


def printable(text: str) -> str:
    """The text as it is, or as a Python literal if there is in it what ends a line."""
    return text if text.isprintable() else repr(text)
